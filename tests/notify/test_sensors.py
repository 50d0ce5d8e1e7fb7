"""The two sensors on a real Dagster instance."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from mlops_dagster import build_lifecycle
from mlops_dagster.clock import ReplayClock
from mlops_dagster.declaration import ModelIdentity, Task
from mlops_dagster.errors import DataNotFitError
from mlops_dagster.notify.messages import WHAT
from mlops_dagster.notify.run import Told
from mlops_dagster.notify.sensors import build_failure_sensor, build_notify_sensor
from mlops_dagster.notify.spec import NotifySpec
from mlops_dagster.resources import MODEL, SEGMENT, WORKBENCH_KEY, WorkbenchResource
from tests.lifecycle.small import cancer_spec

CHURN = ModelIdentity(name="churn", task=Task.BINARY, target="left")
HOOK = {"channels": [{"kind": "webhook", "url_variable": "CHURN_HOOK"}]}
RUNBOOK = Path(__file__).resolve().parents[2] / "docs" / "runbook.md"


def job_that(raises: Exception | None) -> dg.JobDefinition:
    @dg.op
    def churn__features() -> None:
        if raises:
            raise raises

    @dg.job(name="churn_retrain", tags={MODEL: "churn", SEGMENT: "all"})
    def made() -> None:
        churn__features()

    return made


@pytest.fixture
def told(webhook, tmp_path, monkeypatch):
    monkeypatch.setenv("CHURN_HOOK", f"http://127.0.0.1:{webhook.server_port}/")
    clock = ReplayClock(tmp_path / "clock")
    clock.set(datetime(2026, 3, 1, tzinfo=UTC))
    one = Told(model=CHURN, spec=NotifySpec.model_validate(HOOK), silence=None)
    resource = WorkbenchResource(home=str(tmp_path), clock=clock.address)
    every = timedelta(seconds=30)
    jobs = [job_that(None)]
    failure = build_failure_sensor([one], name="churn_failure_sensor", jobs=jobs, running=False)
    notify = build_notify_sensor([one], name="churn_notify_sensor", running=False, interval=every)
    with dg.instance_for_test() as instance:

        def failed(error: Exception) -> None:
            result = job_that(error).execute_in_process(instance=instance, raise_on_error=False)
            context = dg.build_run_status_sensor_context(
                sensor_name="churn_failure_sensor",
                dagster_event=result.get_run_failure_event(),
                dagster_instance=instance,
                dagster_run=result.dagster_run,
                resources={WORKBENCH_KEY: resource},
            )
            failure(context.for_run_failure())

        def succeeded() -> str:
            job_that(None).execute_in_process(instance=instance)
            context = dg.build_sensor_context(
                instance=instance, resources={WORKBENCH_KEY: resource}
            )
            return notify(context).skip_message

        yield failed, succeeded


def test_TE11_a_failed_run_tells_stage_cause_what_serves_and_whether_to_retry(told, webhook):
    failed, succeeded = told
    failed(ValueError("disk full"))
    failed(ValueError("disk full"))
    [(_, message)] = webhook.got
    assert message["title"] == "churn: a run failed (churn_retrain)"
    assert re.search(r"Run \w{8} stopped at features: ", message["text"])
    assert "disk full" in message["text"]
    assert "No version serves." in message["text"]
    assert "'re-execute from failure' goes on at features" in message["text"]
    assert succeeded() == "Everything that is wrong was told."
    assert [one["state"] for _, one in webhook.got] == ["open", "over"]


def test_a_failure_that_a_retry_would_meet_again_says_so(told, webhook):
    told[0](DataNotFitError("churn/features: 'age' is missing."))
    [(_, message)] = webhook.got
    assert "would stop at the same place: mend the cause first" in message["text"]


def test_the_sensors_are_there_when_somebody_is_to_be_told(tmp_path):
    def names(spec) -> set[str]:
        return {one.name for one in build_lifecycle(spec).sensors}

    quiet = names(cancer_spec(tmp_path / "cancer.csv"))
    loud = names(cancer_spec(tmp_path / "cancer.csv", notify=HOOK))
    assert loud - quiet == {"cancer_notify_sensor", "cancer_failure_sensor"}


def test_every_kind_of_incident_has_a_section_in_the_runbook():
    sections = set(re.findall(r"^## (\w+)$", RUNBOOK.read_text(), re.MULTILINE))
    assert sections == set(WHAT)
