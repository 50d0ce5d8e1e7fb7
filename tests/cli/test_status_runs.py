"""What Dagster knows of runs that failed, asked on a real instance."""

import json
from datetime import timedelta

import dagster as dg
import pytest
from click.testing import CliRunner

from mlops_dagster.cli import status_dagster
from mlops_dagster.cli.location import dagster_home
from mlops_dagster.cli.main import main
from mlops_dagster.cli.status_dagster import queued
from mlops_dagster.clock import wall_now
from mlops_dagster.errors import DataNotFitError
from mlops_dagster.resources import MODEL, SEGMENT


def run_of(job: str, *, segment: str, problem: Exception | None) -> None:
    """Run one step that fails, or does not, on the home's own instance."""

    @dg.op(name=f"churn__{segment}__raw_data")
    def step() -> None:
        if problem:
            raise problem

    @dg.job(name=job, tags={MODEL: "churn", SEGMENT: segment})
    def made() -> None:
        step()

    with dg.DagsterInstance.get() as instance:
        made.execute_in_process(instance=instance, raise_on_error=False)


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path / "home"))
    for name in ("MLOPS_LAKE", "MLFLOW_TRACKING_URI", "MLOPS_OPERATIONS_URL", "DAGSTER_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DAGSTER_HOME", str(dagster_home()))


def status(*arguments: str):
    return CliRunner().invoke(main, ["status", *arguments])


def test_status_tells_of_each_job_whose_newest_run_failed_and_why(home):
    problem = DataNotFitError("1 of 9 rows have no key. Mend the source.")
    run_of("churn_update", segment="c03", problem=problem)
    run_of("churn_score", segment="c03", problem=RuntimeError("disk is full"))
    run_of("churn_score", segment="c03", problem=None)
    run_of("churn_update", segment="c04", problem=None)
    done = status("churn/c03")
    assert done.exit_code == 0, done.output
    [line] = [one for one in done.output.splitlines() if one.startswith("failed run")]
    assert "of churn_update, " in line
    assert ": raw_data: " in line
    assert line.endswith("1 of 9 rows have no key. Mend the source.")
    [told] = json.loads(status("churn/c03", "--json").stdout)["failed_run"]
    assert told["job"] == "churn_update"
    assert "failed run" not in status("churn/c04").output
    assert "There is no trace of a model 'churn/c05'" in status("churn/c05").output


def test_a_refusal_is_told_as_the_run_told_it(home):
    check = dg.AssetCheckSpec("id_not_null", asset="churn__c06__validated_data", blocking=True)

    @dg.asset(check_specs=[check])
    def churn__c06__validated_data():
        broken = dg.AssetCheckResult(passed=False, check_name="id_not_null", description="3 nulls.")
        return dg.MaterializeResult(check_results=[broken])

    chosen = dg.define_asset_job("churn_update", tags={MODEL: "churn", SEGMENT: "c06"})
    made = dg.Definitions(assets=[churn__c06__validated_data], jobs=[chosen])
    with dg.DagsterInstance.get() as instance:
        made.resolve_job_def("churn_update").execute_in_process(
            instance=instance, raise_on_error=False
        )
    [line] = [one for one in status("churn/c06").output.splitlines() if "failed run" in one]
    assert "validated_data: id_not_null: 3 nulls. The rows wait in quarantine" in line
    assert "Dagster" not in line


def test_a_run_that_was_killed_before_it_began_does_not_wait_for_ever(home, monkeypatch):
    starting = dg.DagsterRun(
        job_name="churn_score",
        status=dg.DagsterRunStatus.STARTING,
        tags={MODEL: "churn", SEGMENT: "c07"},
    )
    with dg.DagsterInstance.get() as instance:
        instance.add_run(starting)
        assert queued(instance, "churn", "c07") == [starting.run_id]
        later = wall_now() + timedelta(minutes=6)
        monkeypatch.setattr(status_dagster, "wall_now", lambda: later)
        assert queued(instance, "churn", "c07") == []
