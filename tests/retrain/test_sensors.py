"""The sensors on a real Dagster instance and real stores: what they ask for, once, and why not."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import dagster as dg
import pyarrow as pa
import pytest

from mlops_dagster import asked_runs
from mlops_dagster.clock import ReplayClock, wall_now
from mlops_dagster.declaration import ModelIdentity, Task
from mlops_dagster.records import Finding, Monitoring, Outcome, Snapshot
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
        self.watched = Watched(
            model=MODEL_ID,
            policy=RetrainSpec(
                triggers=("new_data", "drift", "failed_check"),
                min_new_rows=3,
                cooldown=timedelta(days=7),
            ),
            max_age=timedelta(days=2),
            source_state=lambda: self.state,
        )
        watched = [self.watched]
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

    def begin(self, request: dg.RunRequest, status: dg.DagsterRunStatus) -> dg.DagsterRun:
        """Leave a run of a request in a state, as a killed process does."""
        [job] = [one for one in JOBS if one.name == request.job_name]
        run = self.instance.create_run_for_job(job, status=status, tags=request.tags)
        self.instance.report_engine_event("begun", run)
        return run

    def refuse_rows(self, run_id: str) -> None:
        rows = pa.table({"id": [1], "left": [1.0]})
        table = self.bench.tables.overwrite("churn/all/validated_data", rows)
        record = Snapshot(
            model="churn", segment="all", run_id=run_id, made_at=self.clock.now(),
            recorded_at=wall_now(), data_version="v1:bad", table=table.ref, new_rows=0, through=1,
            outcome=Outcome.REFUSED, because="not_null__age: 12 % null.",
        )  # fmt: skip
        address = RecordAddress(
            model="churn", segment="all", noun="validated_data", run_id=run_id, step="s"
        )
        self.bench.records.write(address, record)

    def pass_time(self, **length: int) -> None:
        self.clock.set(self.clock.now() + timedelta(**length))

    def take_in_by_hand(self, *, fail: bool = False, looked: bool = True, waiting: int = 0) -> None:
        """Run a job that no sensor asked for: it takes in three rows, of the state that is now."""
        job = self._failing("churn_lifecycle") if fail else JOBS[0]
        run_id = job.execute_in_process(instance=self.instance, raise_on_error=False).run_id
        self.accept_rows(3, state=self.state, waiting=waiting, run_id=run_id)
        if looked:
            seen = Monitoring(
                model="churn", segment="all", run_id=run_id, made_at=self.clock.now(),
                recorded_at=wall_now(), data_version="v1:m", findings=0, alarms=0,
                champion_version=None,
            )  # fmt: skip
            address = RecordAddress(
                model="churn", segment="all", noun="monitoring", run_id=run_id, step="s"
            )
            self.bench.records.write(address, seen)

    def accept_rows(
        self,
        count: int,
        *,
        newest: datetime = NOW,
        state: str | None = None,
        waiting: int = 0,
        run_id: str | None = None,
    ) -> None:
        ids = list(range(count))
        rows = pa.table({"id": ids, "left": pa.array([1.0] * count)})
        table = self.bench.tables.overwrite("churn/all/validated_data", rows)
        for noun, through in (("raw_data", 1 + waiting), ("validated_data", 1)):
            record = Snapshot(
                model="churn", segment="all", run_id=run_id or uuid4().hex, made_at=self.clock.now(),
                recorded_at=wall_now(), data_version=table.ref.digest, table=table.ref,
                new_rows=count, through=through, newest=newest, source_state=state,
            )  # fmt: skip
            address = RecordAddress(
                model="churn", segment="all", noun=noun, run_id=record.run_id, step="s"
            )
            path = self.bench.records.write(address, record)
            accept(self.bench.records, self.bench.operations, noun=noun, record=record, path=path)

    def alarm(self, subject: str = "prediction") -> None:
        finding = Finding(
            model="churn", segment="all", signal="prediction_drift", subject=subject,
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


def test_a_run_that_failed_is_tried_again_under_another_key_three_times_at_once(scene):
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


def test_a_run_that_failed_three_times_is_tried_again_later_and_later(scene):
    for _ in range(3):
        scene.obey(scene.look("freshness")[0][0], fail=True)
    requests, reason = scene.look("freshness")
    assert requests == []
    assert "the runs that took it in failed, one more comes later" in reason
    for number, hours in ((4, 1), (5, 2), (6, 4)):
        scene.pass_time(minutes=hours * 60 - 1)
        assert scene.look("freshness")[0] == []
        scene.pass_time(minutes=1)
        [request], _ = scene.look("freshness")
        assert request.run_key == f"update:churn/all:state:one:attempt:{number}"
        scene.obey(request, fail=True)
    scene.pass_time(hours=8)
    scene.obey(scene.look("freshness")[0][0])
    _, reason = scene.look("freshness")
    assert "Nothing new at the source" in reason


def test_a_run_that_was_canceled_is_tried_again(scene):
    [request], _ = scene.look("freshness")
    scene.begin(request, dg.DagsterRunStatus.CANCELED)
    [again], _ = scene.look("freshness")
    assert again.run_key == f"{request.run_key}:attempt:2"


def test_a_run_that_was_killed_is_tried_again_once_it_was_silent_for_a_while(scene, monkeypatch):
    [request], _ = scene.look("freshness")
    run = scene.begin(request, dg.DagsterRunStatus.STARTED)
    requests, reason = scene.look("freshness")
    assert requests == []
    assert f"run {run.run_id[:8]} is still open" in reason
    later = wall_now() + timedelta(minutes=11)
    monkeypatch.setattr(asked_runs, "wall_now", lambda: later)
    with scene.bench.operations.hold(f"run:churn/all:{run.run_id}", holder=run.run_id):
        assert scene.look("freshness")[0] == []
    [again], _ = scene.look("freshness")
    assert again.run_key == f"{request.run_key}:attempt:2"


def test_new_data_while_the_run_of_the_old_fails_is_taken_in_at_once(scene):
    for _ in range(3):
        scene.obey(scene.look("freshness")[0][0], fail=True)
    scene.state = "two"
    [request], _ = scene.look("freshness")
    assert request.run_key == "update:churn/all:state:two"


def test_a_sensor_under_another_name_goes_on_where_the_old_one_failed(scene):
    for _ in range(3):
        scene.obey(scene.look("freshness")[0][0], fail=True)
    scene.sensors["freshness"] = build_freshness_sensor(
        [scene.watched], name="renamed", jobs=JOBS, running=False, interval=timedelta(seconds=30)
    )
    scene.look("freshness")
    scene.pass_time(hours=1)
    [request], _ = scene.look("freshness")
    assert request.run_key == "update:churn/all:state:one:attempt:4"


def test_refused_data_were_seen_and_are_not_taken_in_again(scene):
    [request], _ = scene.look("freshness")
    scene.refuse_rows(scene.obey(request, fail=True).run_id)
    scene.pass_time(hours=30)
    requests, reason = scene.look("freshness")
    assert requests == []
    assert "Nothing new at the source" in reason


def test_a_run_that_somebody_started_by_hand_counts_as_open(scene):
    with scene.bench.operations.hold("run:churn/all:0123456789", holder="0123456789"):
        requests, reason = scene.look("freshness")
    assert requests == []
    assert "run 01234567 is still open" in reason
    assert len(scene.look("freshness")[0]) == 1


def test_what_a_run_by_hand_took_in_is_not_asked_for(scene):
    scene.take_in_by_hand()
    [request], _ = scene.look("freshness")
    assert request.job_name == "churn_retrain"  # the first model, of the rows that are there
    scene.obey(request)
    scene.state = "two"
    [request], _ = scene.look("freshness")
    assert request.job_name == "churn_update"


@pytest.mark.parametrize("left", [{"waiting": 1}, {"looked": False}, {"fail": True}])
def test_what_a_run_by_hand_left_undone_is_asked_for(scene, left):
    scene.take_in_by_hand(**left)
    [request], _ = scene.look("freshness")
    assert request.job_name == "churn_update"


def test_a_source_without_state_is_asked_again_when_its_age_passed_once_more(scene):
    scene.state = None
    scene.obey(scene.look("freshness")[0][0])
    scene.accept_rows(2)
    scene.obey(scene.look("freshness")[0][0])  # the first model
    asked = []
    for day in range(1, 9):
        scene.pass_time(days=1)
        for request in scene.look("freshness")[0]:
            asked.append((day, request.job_name))
            scene.obey(request)
    assert asked == [(day, "churn_update") for day in (3, 4, 6, 8)]


def test_two_sensors_that_say_no_in_turn_keep_one_no_each(scene):
    scene.state = None
    scene.obey(scene.look("freshness")[0][0])
    for _ in range(4):
        scene.look("drift")
        scene.look("freshness")
    kept = scene.bench.operations.decisions("churn", "all")
    assert sorted(one.evidence["by"] for one in kept if one.action == "none") == [
        "churn_drift_sensor",
        "churn_freshness_sensor",
    ]


def test_an_alarm_is_heard_among_thousands_of_other_findings(scene):
    scene.accept_rows(50)
    scene.obey(scene.look("drift")[0][0])  # the first model
    scene.pass_time(days=8)
    scene.alarm()
    quiet = Finding(
        model="churn", segment="all", signal="data_age", subject="", outcome=Outcome.PASSED,
        value=1.0, limit=2.0, rows=9, window_start=None, window_end=None, at=scene.clock.now(),
        because="1 h old.",
    )  # fmt: skip
    scene.bench.operations.add_findings(replace(quiet, subject=str(one)) for one in range(1_200))
    [request], _ = scene.look("drift")
    assert request.tags["mlops_dagster/reason"] == "drift"


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


def test_TE7_a_hundred_alarms_at_both_sensors_start_one_retrain_and_the_rest_is_told(scene):
    scene.accept_rows(50)
    scene.state = None
    scene.obey(scene.look("drift")[0][0])  # the first model
    scene.pass_time(days=8)
    started = []
    for number in range(100):
        scene.pass_time(seconds=30)
        scene.alarm(f"answer {number}")
        for sensor in ("drift", "freshness") if number % 20 == 0 else ("drift",):
            for request in scene.look(sensor)[0]:
                started.append(request.job_name)
                scene.obey(request)
    assert started.count("churn_retrain") == 1
    newest = scene.bench.operations.decisions("churn", "all", limit=1)[0]
    assert "Cooldown of 1w until" in newest.because
    assert "Held back:" in newest.because
    assert newest.evidence["alarms"] == 100


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


def test_a_source_that_breaks_is_told_in_the_decision_and_the_other_models_go_on(scene):
    def broken() -> str:
        raise KeyError("bucket")

    other = MODEL_ID.model_copy(update={"name": "fraud"})
    both = [replace(scene.watched, model=other, source_state=broken), scene.watched]
    sensor = build_freshness_sensor(
        both, name="both", jobs=JOBS, running=False, interval=timedelta(seconds=30)
    )
    context = dg.build_sensor_context(
        instance=scene.instance, resources={WORKBENCH_KEY: scene.resource}
    )
    [request] = sensor(context).run_requests
    assert request.job_name == "churn_update"
    [decision] = scene.bench.operations.decisions("fraud", "all")
    assert decision.action == "none"
    assert "could not say whether it changed: KeyError: 'bucket'" in decision.because
