"""The watch on live answers: steps a canary, stops it, and puts back what served before."""

from datetime import timedelta

import dagster as dg
import pytest

from mlops_dagster.clock import wall_now
from mlops_dagster.deploy import watch as watching
from mlops_dagster.deploy.approval import approve
from mlops_dagster.deploy.canary import step_of
from mlops_dagster.deploy.moves import champion_of
from mlops_dagster.deploy.run import run
from mlops_dagster.deploy.sensors import Deployed, build_live_sensor
from mlops_dagster.deploy.spec import DeploySpec
from mlops_dagster.deploy.watch import watch
from mlops_dagster.records import Finding, Outcome
from mlops_dagster.resources import WorkbenchResource
from mlops_dagster.stores.registry import CHALLENGER
from tests.deploy.test_health import traffic
from tests.deploy.test_moves import registered, step
from tests.deploy.test_rollback import worker
from tests.scoring.models import MODEL

BAKING = DeploySpec()
STAGED = DeploySpec.model_validate({"canary": {"steps": [0.05, 0.25], "hold": "10m"}})


def test_TE8_live_quality_falls_after_a_promotion_and_the_version_before_is_put_back(versions):
    worker(versions, "2", traffic=(traffic("2", errors=300), traffic("1", part="before")))
    sight = watch(versions, MODEL, BAKING)
    assert sight.action == "rollback"
    assert champion_of(versions, MODEL) == "1"
    last = versions.operations.moves(MODEL.name, "all", state="done")[-1]
    assert (last.kind, last.who) == ("rollback", watching.WATCH)
    assert "30.0% of 1,000 requests failed on version 2" in last.why
    [incident] = versions.operations.newest_findings(MODEL.name, "all")
    assert (incident.signal, incident.outcome) == ("endpoint_health", Outcome.REFUSED)
    assert "was rolled back to version 1" in incident.because
    [told] = versions.operations.decisions(MODEL.name, "all", action="rollback")
    assert told.because == incident.because
    assert watch(versions, MODEL, BAKING).action == "none"
    assert run(step(versions), BAKING, registered("2", against="1")).waiting_for
    assert champion_of(versions, MODEL) == "1"


def test_TE8_a_labelled_loss_in_the_bake_window_puts_the_version_before_back(versions):
    worker(versions, "2", traffic=(traffic("2"), traffic("1", part="before")))
    assert watch(versions, MODEL, BAKING).action == "none"
    now = versions.clock.now() + timedelta(minutes=1)
    found = Finding(
        model=MODEL.name, segment="all", signal="performance", subject="log_loss",
        outcome=Outcome.REFUSED, value=0.9, limit=0.5, rows=400, window_start=None, window_end=now,
        at=now, because="log_loss is 0.9 on 400 labels; up to 0.5 is usual.", champion_version="2",
    )  # fmt: skip
    versions.operations.add_findings([found])
    sight = watch(versions, MODEL, BAKING)
    assert (sight.action, champion_of(versions, MODEL)) == ("rollback", "1")
    assert "log_loss is 0.9" in sight.because


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        (BAKING, ()),
        (BAKING, (traffic("2", errors=300),)),
        (BAKING, (traffic("2"), traffic("1", part="before"))),
        (
            DeploySpec.model_validate({"bake": "0s"}),
            (traffic("2", errors=900), traffic("1", part="before")),
        ),
        (BAKING, (traffic("3", errors=900), traffic("1", part="before"))),
    ],
)
def test_nothing_is_put_back_without_proof(versions, spec, told):
    worker(versions, "2", traffic=told)
    assert watch(versions, MODEL, spec).action == "none"
    assert champion_of(versions, MODEL) == "2"


def test_an_older_promotion_is_not_watched_any_more(versions, monkeypatch):
    worker(versions, "2", traffic=(traffic("2", errors=900), traffic("1", part="before")))
    later = wall_now() + timedelta(hours=2)
    monkeypatch.setattr(watching, "wall_now", lambda: later)
    monkeypatch.setattr(
        watching,
        "workers_of",
        lambda bench, model: bench.operations.workers(
            model.name, model.segment, since=wall_now() - timedelta(hours=1)
        ),
    )
    assert watch(versions, MODEL, BAKING).action == "none"


@pytest.fixture
def staged(versions):
    """Version 3 waits, version 2 serves, and the endpoint answers."""
    versions.registry.set_alias(MODEL.registered_name, CHALLENGER, "3")
    worker(versions, "2", traffic=(traffic("2"),))
    return versions


def beside(bench, **changed) -> None:
    canary = traffic("3", part="canary", **changed)
    worker(bench, "2", traffic=(traffic("2"), canary, traffic("2", part="beside")))


def share(bench) -> float:
    found = step_of(bench.registry.version(MODEL.registered_name, "3"))
    assert found is not None
    return found.share


def held(monkeypatch, hours: float) -> None:
    later = wall_now() + timedelta(hours=hours)
    monkeypatch.setattr(watching, "wall_now", lambda: later)


def test_DP1_a_promotion_in_steps_serves_all_only_after_each_step_was_well(staged, monkeypatch):
    first = run(step(staged), STAGED, registered("3", against="2"))
    assert (first.outcome, first.version) == (Outcome.NOT_APPLICABLE, "2")
    assert "Version 3 answers 5% of the keys" in str(first.waiting_for)
    assert run(step(staged), STAGED, registered("3", against="2")).waiting_for == first.waiting_for
    beside(staged)
    assert watch(staged, MODEL, STAGED).action == "none", "the step is not held long enough"
    held(monkeypatch, 1)
    assert (watch(staged, MODEL, STAGED).action, share(staged)) == ("step", 0.25)
    assert watch(staged, MODEL, STAGED).action == "none"
    held(monkeypatch, 2)
    sight = watch(staged, MODEL, STAGED)
    assert (sight.action, sight.version) == ("serve", "3")
    assert champion_of(staged, MODEL) == "2"
    worker(staged, "3")
    done = run(step(staged), STAGED, registered("3", against="2"))
    assert (done.outcome, done.version) == (Outcome.PASSED, "3")
    assert "Its canary passed: 1,000 requests" in done.because
    steps = staged.operations.decisions(MODEL.name, "all", action="canary")
    assert [one.because.split(":")[0] for one in steps] == [
        "Version 3 was well at 25% of the keys",
        "Version 3 was well at 5% of the keys",
    ]


@pytest.mark.parametrize("changed", [{"errors": 200}, {"ms": 200}, {"mean": 0.9}])
def test_DP1_a_canary_that_gets_worse_is_stopped_and_barred(staged, changed):
    run(step(staged), STAGED, registered("3", against="2"))
    beside(staged, **changed)
    sight = watch(staged, MODEL, STAGED)
    assert (sight.action, champion_of(staged, MODEL)) == ("stop", "2")
    assert watch(staged, MODEL, STAGED).action == "none"
    barred = run(step(staged), STAGED, registered("3", against="2"))
    assert (barred.outcome, barred.version) == (Outcome.NOT_APPLICABLE, "2")
    assert "barred: Stopped at 5% of the keys" in barred.because
    approve(staged, MODEL, "3", who="bob", why="the client was wrong")
    again = run(step(staged), STAGED, registered("3", against="2"))
    assert "Version 3 answers 5% of the keys" in str(again.waiting_for)


def test_without_an_endpoint_a_promotion_has_no_steps(versions):
    assert run(step(versions), STAGED, registered("3", against="2")).version == "3"


def test_the_sensor_tells_what_it_did_on_the_deployment(versions, tmp_path):
    worker(versions, "2", traffic=(traffic("2", errors=300), traffic("1", part="before")))
    key = dg.AssetKey([MODEL.name, "deployment"])

    @dg.job(name=MODEL.job("deploy"))
    def deploy() -> None:
        """Nothing."""

    sensor = build_live_sensor(
        [Deployed(model=MODEL, spec=BAKING, asset=key)],
        name="live", jobs=[deploy], running=False, interval=timedelta(seconds=30),
    )  # fmt: skip
    addresses = {"home": str(versions.home)}
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_sensor_context(
            instance=instance, resources={"mlops_dagster": WorkbenchResource(**addresses)}
        )
        data = sensor.evaluate_tick(context)
    assert [event.asset_key for event in data.asset_events] == [key]
    assert "was rolled back to version 1" in str(data.skip_message)
