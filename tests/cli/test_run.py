import signal

import dagster as dg
import pytest
import yaml

from mlops_dagster.cli.location import dagster_home, declared_model, load_locations
from mlops_dagster.cli.run import find_job, run_job
from mlops_dagster.errors import SpecError


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.setenv("DAGSTER_HOME", str(dagster_home()))


def job_of(*assets) -> dg.JobDefinition:
    job = dg.define_asset_job("churn_lifecycle", selection=list(assets))
    return dg.Definitions(assets=list(assets), jobs=[job]).resolve_job_def("churn_lifecycle")


@dg.asset
def churn__raw_data():
    return dg.MaterializeResult(metadata={"outcome": "passed", "because": "300 new rows."})


def test_each_step_is_told_with_its_outcome_and_reason(capsys):
    assert run_job(job_of(churn__raw_data))
    told = capsys.readouterr()
    assert "raw_data          passed" in told.out
    assert "300 new rows." in told.out
    assert "Done after" in told.out
    assert "DEBUG" not in told.err


def test_a_run_is_kept_on_the_persistent_instance(capsys):
    run_job(job_of(churn__raw_data))
    run_id = capsys.readouterr().out.split("run ")[1][:8]
    with dg.DagsterInstance.get() as instance:
        assert [one.run_id[:8] for one in instance.get_runs()] == [run_id]


def test_the_reason_of_a_failed_step_is_the_last_sentence(capsys):
    @dg.asset
    def churn__raw_data():
        raise dg.Failure("The file customers.csv is not there.")

    assert not run_job(job_of(churn__raw_data))
    told = capsys.readouterr()
    assert told.err.endswith("Error: raw_data: The file customers.csv is not there.\n")
    assert "Traceback" not in told.err


def test_an_interrupted_run_is_no_crash(capsys):
    @dg.asset
    def churn__raw_data():
        signal.raise_signal(signal.SIGINT)

    assert not run_job(job_of(churn__raw_data))
    assert (
        "raw_data: it was interrupted. What served before still serves" in capsys.readouterr().err
    )


def test_a_blocking_check_says_what_it_refused(capsys):
    spec = dg.AssetCheckSpec("id_not_null", asset="churn__raw_data", blocking=True)

    @dg.asset(check_specs=[spec])
    def churn__raw_data():
        refused = dg.AssetCheckResult(
            passed=False, check_name="id_not_null", description="3 of 10 rows have no id."
        )
        return dg.MaterializeResult(check_results=[refused])

    @dg.asset(deps=[churn__raw_data])
    def churn__features():
        return None

    assert not run_job(job_of(churn__raw_data, churn__features))
    told = capsys.readouterr()
    assert "id_not_null: 3 of 10 rows have no id." in told.err
    assert "features" not in told.out or "skipped" in told.out


def test_a_refused_candidate_is_told_with_the_way_out(capsys):
    spec = dg.AssetCheckSpec("candidate_accepted", asset="churn__registered_model", blocking=True)

    @dg.asset(check_specs=[spec])
    def churn__registered_model():
        refused = dg.AssetCheckResult(
            passed=False, check_name="candidate_accepted", description="Version 2 (refused)."
        )
        return dg.MaterializeResult(check_results=[refused])

    @dg.asset(deps=[churn__registered_model])
    def churn__deployment():
        return None

    assert not run_job(job_of(churn__registered_model, churn__deployment))
    told = capsys.readouterr().err
    assert told.splitlines()[-1] == (
        "Error: registered_model: candidate_accepted: Version 2 (refused). What served before still "
        "serves. Mend the data, the features or the estimator, or change evaluate.gates, and run again."
    )


def test_a_job_that_no_location_has_is_named():
    with pytest.raises(SpecError, match="No code location has the job 'churn_lifecycle'"):
        find_job([], "churn_lifecycle")


def write_location(folder, code: str) -> None:
    (folder / "place_of_jobs.py").write_text(code)
    (folder / "workspace.yaml").write_text(
        "load_from:\n  - python_file: {relative_path: place_of_jobs.py}\n"
    )


def test_a_model_without_segments_is_found_by_its_whole_address_too():
    from assets.flight_delay.definitions import flight_delay

    assert declared_model("flight_delay/all") == declared_model("flight_delay") == flight_delay


def test_a_location_that_does_not_load_is_named_with_its_error(tmp_path):
    write_location(tmp_path, "raise ValueError('no such table')")
    with pytest.raises(
        SpecError, match=r"place_of_jobs\.py does not load: ValueError: no such table"
    ):
        load_locations(tmp_path / "workspace.yaml")


def test_a_location_without_definitions_says_what_to_write(tmp_path):
    write_location(tmp_path, "x = 1")
    with pytest.raises(SpecError, match=r"Write `defs = build_lifecycle"):
        load_locations(tmp_path / "workspace.yaml")


def test_definitions_are_found_as_an_object_and_as_a_function(tmp_path):
    write_location(
        tmp_path, "import dagster as dg\n@dg.definitions\ndef d():\n    return dg.Definitions()"
    )
    [location] = load_locations(tmp_path / "workspace.yaml")
    assert isinstance(location.definitions, dg.Definitions)


def test_dagsters_folder_is_made_without_telemetry_or_questions(tmp_path):
    settings = yaml.safe_load((tmp_path / "home/dagster/dagster.yaml").read_text())
    assert settings == {"telemetry": {"enabled": False}, "nux": {"enabled": False}}
