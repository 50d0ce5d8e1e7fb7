"""The sensors on a real Dagster instance and real stores: what they ask for, once, and why not."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import dagster as dg
import pyarrow as pa
import pytest

from mlops_dagster.clock import ReplayClock, wall_now
from mlops_dagster.declaration import ModelIdentity, Task
from mlops_dagster.records import Finding, Outcome, Snapshot
from mlops_dagster.resources import MODEL, SEGMENT, WORKBENCH_KEY, WorkbenchResource
from mlops_dagster.retrain.sensors import Watched, build_drift_sensor, build_freshness_sensor
from mlops_dagster.retrain.spec import RetrainSpec
from mlops_dagster.stores.accepted import accept
from mlops_dagster.stores.records import RecordAddress

NOW = datetime(2026, 3, 1, tzinfo=UTC)
MODEL_ID = ModelIdentity(name="churn", task=Task.BINARY, target="left", key=("id",))


@dg.op
def nothing() -> None:
    pass


def job_named(name: str) -> dg.JobDefinition:
    @dg.job(name=name, tags={MODEL: "churn", SEGMENT: "all"})
    def made() -> None:
        nothing()

    return made


JOBS = [job_named("churn_update"), job_named("churn_retrain")]


class Scene:
    """A model, its source, its stores, a clock and a Dagster instance."""

    def __init__(self, home, instance) -> None:
        self.clock = ReplayClock(home / "clock")
        self.clock.set(NOW)
        self.instance = instance
        self.resource = WorkbenchResource(home=str(home), clock=self.clock.address)
        self.bench = self.resource.open()
        self.state: str | None = "one"
        self.cursors: dict[str, str | None] = {}
        watched = [
            Watched(
                model=MODEL_ID,
                policy=RetrainSpec(
                    triggers=("new_data", "drift", "failed_check"),
                    min_new_rows=3,
                    cooldown=timedelta(days=7),
                ),
                max_age=timedelta(days=2),
                source_state=lambda: self.state,
            )
        ]
        every = timedelta(seconds=30)
        self.sensors = {
            "freshness": build_freshness_sensor(
                watched, name="churn_freshness_sensor", jobs=JOBS, running=False, interval=every),
            "drift": build_drift_sensor(
                watched, name="churn_drift_sensor", jobs=JOBS, running=False, interval=every),
        }  # fmt: skip

    def look(self, name: str) -> tuple[list[dg.RunRequest], str]:
        context = dg.build_sensor_context(
            instance=self.instance, resources={WORKBENCH_KEY: self.resource}, cursor=None
        )
        result = self.sensors[name](context)
        reason = result.skip_reason.skip_message if result.skip_reason else ""
        return list(result.run_requests or []), reason

    def obey(self, request: dg.RunRequest, *, fail: bool = False) -> dg.ExecuteInProcessResult:
        [job] = [one for one in JOBS if one.name == request.job_name]
        tags = {**request.tags, "dagster/run_key": request.run_key}
        if fail:
            return self._failing(request.job_name).execute_in_process(
                instance=self.instance, tags=tags, raise_on_error=False
            )
        return job.execute_in_process(instance=self.instance, tags=tags)

    def _failing(self, name: str) -> dg.JobDefinition:
        @dg.op
        def breaks() -> None:
            raise dg.Failure("power cut")

        @dg.job(name=name, tags={MODEL: "churn", SEGMENT: "all"})
        def made() -> None:
            breaks()

        return made

    def accept_rows(self, count: int, *, newest: datetime = NOW) -> None:
        ids = list(range(count))
        rows = pa.table({"id": ids, "left": pa.array([1.0] * count)})
        table = self.bench.tables.overwrite("churn/all/validated_data", rows)
        for noun in ("raw_data", "validated_data"):
            record = Snapshot(
                model="churn", segment="all", run_id=f"{uuid4().hex}", made_at=self.clock.now(),
                recorded_at=wall_now(), data_version=table.ref.digest, table=table.ref,
                new_rows=count, through=1, newest=newest,
            )  # fmt: skip
            address = RecordAddress(
                model="churn", segment="all", noun=noun, run_id=record.run_id, step="s"
            )
            path = self.bench.records.write(address, record)
            accept(self.bench.records, self.bench.operations, noun=noun, record=record, path=path)

    def alarm(self) -> None:
        finding = Finding(
            model="churn", segment="all", signal="prediction_drift", subject="prediction",
            outcome=Outcome.REFUSED, value=0.3, limit=0.1, rows=900, window_start=self.clock.now(),
            window_end=self.clock.now(), at=self.clock.now(), because="moved by 0.3 (limit 0.1).",
        )  # fmt: skip
        self.bench.operations.add_findings([finding])


@pytest.fixture
def scene(tmp_path):
    with dg.instance_for_test() as instance:
        yield Scene(tmp_path, instance)


def test_OR2_new_data_at_the_source_starts_one_update_and_only_one(scene):
    [request], _ = scene.look("freshness")
    assert request.job_name == "churn_update"
    assert request.tags["mlops_dagster/because"] == "The source has changed."
    scene.obey(request)
    scene.accept_rows(2)
    for _ in range(3):
        requests, _ = scene.look("freshness")
        assert [one.job_name for one in requests if one.job_name == "churn_update"] == []
    scene.state = "two"
    [again], _ = scene.look("freshness")
    assert again.run_key != request.run_key


def test_a_request_that_never_started_is_asked_for_again_under_the_same_key(scene):
    [request], _ = scene.look("freshness")
    [repeated], _ = scene.look("freshness")
    assert repeated.run_key == request.run_key


def test_a_run_that_failed_is_tried_again_under_another_key_and_not_for_ever(scene):
    keys = []
    for _ in range(5):
        requests, _ = scene.look("freshness")
        if not requests:
            break
        keys.append(requests[0].run_key)
        scene.obey(requests[0], fail=True)
    assert len(keys) == 3
    assert len(set(keys)) == 3
    assert keys[1].endswith(":attempt:2")


def test_OR3_data_past_its_age_schedules_one_corrective_run(scene):
    scene.obey(scene.look("freshness")[0][0])
    scene.accept_rows(2, newest=NOW)
    scene.obey(scene.look("freshness")[0][0])  # the first model
    scene.clock.set(NOW + timedelta(days=3))
    [request], _ = scene.look("freshness")
    assert request.job_name == "churn_update"
    assert "72.0 h old (limit 2d)" in request.tags["mlops_dagster/because"]
    scene.obey(request)
    scene.accept_rows(2, newest=NOW)
    requests, reason = scene.look("freshness")
    assert requests == []
    assert "asked for already and brought nothing newer" in reason


def test_the_first_model_is_trained_as_soon_as_rows_are_accepted(scene):
    scene.obey(scene.look("freshness")[0][0])
    scene.accept_rows(2)
    [request], _ = scene.look("freshness")
    assert (request.job_name, request.tags["mlops_dagster/reason"]) == (
        "churn_retrain",
        "first_model",
    )


def test_two_sensors_never_ask_for_two_retrains(scene):
    scene.accept_rows(50)
    scene.alarm()
    first, _ = scene.look("drift")
    scene.state = None
    second, reason = scene.look("freshness")
    assert [one.job_name for one in first + second] == ["churn_retrain"]
    assert "asked by churn_drift_sensor" in reason


def test_TE13_a_failed_check_asks_for_a_retrain_under_the_policy(scene):
    scene.accept_rows(50)
    scene.obey(scene.look("drift")[0][0])  # the first model
    scene.clock.set(NOW + timedelta(days=8))
    finding = Finding(
        model="churn", segment="all", signal="failed_check", subject="validated_data.not_null__age",
        outcome=Outcome.REFUSED, value=None, limit=None, rows=0, window_start=None,
        window_end=scene.clock.now(), at=scene.clock.now(), because="not_null__age: 12 % null.",
    )  # fmt: skip
    scene.bench.operations.add_findings([finding])
    [request], _ = scene.look("drift")
    assert request.tags["mlops_dagster/reason"] == "failed_check"
    assert "12 % null" in request.tags["mlops_dagster/because"]


def test_every_no_is_kept_with_its_reason(scene):
    scene.look("drift")
    [decision] = scene.bench.operations.decisions("churn", "all")
    assert decision.action == "none"
    assert decision.because == "No accepted data yet."
    assert decision.evidence["by"] == "churn_drift_sensor"


def test_a_model_that_cannot_be_judged_does_not_raise_and_is_named(scene, tmp_path):
    def unreachable() -> str:
        from mlops_dagster.errors import StoreError

        raise StoreError("source: no answer from db.example.")

    watched = Watched(model=MODEL_ID, policy=RetrainSpec(), max_age=None, source_state=unreachable)
    sensor = build_freshness_sensor(
        [watched],
        name="lonely_freshness_sensor",
        jobs=JOBS,
        running=False,
        interval=timedelta(seconds=30),
    )
    context = dg.build_sensor_context(
        instance=scene.instance, resources={WORKBENCH_KEY: scene.resource}
    )
    assert "no answer from db.example" in sensor(context).skip_reason.skip_message
