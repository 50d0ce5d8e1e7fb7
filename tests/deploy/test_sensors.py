"""What the deployment's sensors ask Dagster for, on real stores and a real instance."""

from dataclasses import replace
from datetime import timedelta

import dagster as dg
import pytest

from mlops_dagster import asked_runs
from mlops_dagster.clock import wall_now
from mlops_dagster.deploy.approval import approve, bar
from mlops_dagster.deploy.sensors import APPROVAL, build_approval_sensor
from mlops_dagster.records import Outcome
from mlops_dagster.resources import WORKBENCH_KEY, WorkbenchResource
from mlops_dagster.stores.records import RecordAddress
from mlops_dagster.stores.registry import CHALLENGER, CHAMPION
from tests.deploy.test_moves import registered
from tests.scoring.models import MODEL

KEY = f"approved:{MODEL.address}:1"


def job(*, fails: bool = False) -> dg.JobDefinition:
    @dg.op
    def deploys() -> None:
        if fails:
            raise dg.Failure("the registry did not answer")

    @dg.job(name=MODEL.job("deploy"))
    def made() -> None:
        deploys()

    return made


class Night:
    """An approved version, and the sensor that asks for its deployment."""

    def __init__(self, bench, instance) -> None:
        self.bench, self.instance = bench, instance
        self.resource = WorkbenchResource(home=str(bench.home))
        self.sensor = build_approval_sensor(
            [MODEL], name="approvals", jobs=[job()], running=False, interval=timedelta(seconds=30)
        )
        bench.registry.set_alias(MODEL.registered_name, CHALLENGER, "1")
        bench.registry.set_tags(MODEL.registered_name, "1", {APPROVAL: "approved"})

    def look(self) -> list[dg.RunRequest]:
        context = dg.build_sensor_context(
            instance=self.instance, resources={WORKBENCH_KEY: self.resource}
        )
        return list(self.sensor.evaluate_tick(context).run_requests or [])

    def obey(self, request: dg.RunRequest, *, fails: bool = False) -> dg.ExecuteInProcessResult:
        return job(fails=fails).execute_in_process(
            instance=self.instance, tags=request.tags, raise_on_error=False
        )


@pytest.fixture
def night(versions):
    with dg.instance_for_test() as instance:
        yield Night(versions, instance)


def test_an_approval_whose_run_failed_is_asked_for_again_under_another_key(night):
    [first] = night.look()
    assert first.run_key == KEY
    night.obey(first, fails=True)
    [second] = night.look()
    assert second.run_key == f"{KEY}:attempt:2"
    night.obey(second)
    assert night.look() == []


def test_a_version_that_was_rolled_back_and_approved_once_more_is_asked_for_once_more(night):
    approve(night.bench, MODEL, "1", who="ann", why="it is better")
    [first] = night.look()
    night.obey(first)
    assert night.look() == []
    bar(night.bench, MODEL, "1", why="it answers nonsense")
    assert night.look() == []
    night.bench.clock.set(night.bench.clock.now() + timedelta(hours=1))
    approve(night.bench, MODEL, "1", who="ann", why="it was the client")
    assert len(night.look()) == 1


def test_a_run_that_goes_on_failing_is_asked_for_later_and_later(night, monkeypatch):
    for _ in range(3):
        [request] = night.look()
        night.obey(request, fails=True)
    assert night.look() == []
    monkeypatch.setattr(asked_runs, "wall_now", lambda: wall_now() + timedelta(hours=1))
    assert [one.run_key for one in night.look()] == [f"{KEY}:attempt:4"]


def test_a_refused_deployment_is_not_asked_for_again(night):
    [request] = night.look()
    run_id = night.obey(request, fails=True).run_id
    record = replace(
        registered("1", against=None), run_id=run_id, outcome=Outcome.REFUSED, because="too slow."
    )
    address = RecordAddress(
        model=MODEL.name, segment=MODEL.segment, noun="registered_model", run_id=run_id, step="s"
    )
    night.bench.records.write(address, record)
    assert night.look() == []


def test_what_serves_is_not_asked_for(night):
    night.bench.registry.set_alias(MODEL.registered_name, CHAMPION, "1")
    assert night.look() == []
