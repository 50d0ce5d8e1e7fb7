"""SIGKILL in each stage, then the same command again: it completes, and nothing is there twice."""

import signal
import subprocess
from pathlib import Path

import pytest

from mlops_dagster.declaration import ModelIdentity, Task
from mlops_dagster.workbench import Workbench

pytestmark = pytest.mark.e2e

RUN = """
import os, signal, sys
sys.path.insert(0, os.environ["PROJECT"])
import dagster as dg
import mlops_dagster.stage as stage
from location import defs

victim = sys.argv[1]
if victim != "none":
    perform = stage.perform
    def dying(context, one, inputs, values):
        record = perform(context, one, inputs, values)
        if one.noun == victim:
            os.kill(os.getpid(), signal.SIGKILL)  # its work is done, its record is not written
        return record
    stage.perform = dying
quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
job = defs.resolve_job_def("cancer_lifecycle")
result = job.execute_in_process(instance=dg.DagsterInstance.get(), run_config=quiet, raise_on_error=False)
sys.exit(0 if result.success else 1)
"""


def lifecycle(project: dict[str, str], victim: str) -> int:
    command = [project["PYTHON"], "-c", RUN, victim]
    return subprocess.run(command, env=project, check=False, cwd=project["PROJECT"]).returncode


@pytest.mark.parametrize(
    "victim",
    ["raw_data", "validated_data", "features", "trained_model", "evaluation", "registered_model",
     "deployment", "predictions", "monitoring"],
)  # fmt: skip
def test_a_run_that_is_killed_in_a_stage_completes_when_it_is_started_again(project, victim):
    assert lifecycle(project, victim) == -signal.SIGKILL
    assert lifecycle(project, "none") == 0
    bench = Workbench(home=Path(project["MLOPS_HOME"]))
    rows = bench.tables.read("cancer/all/validated_data").to_pandas()
    assert len(rows) == rows["id"].nunique() == 569
    scored = bench.tables.read("cancer/all/predictions").to_pandas()
    assert len(scored) == scored["prediction_id"].nunique() == 40
    champion = bench.registry.by_alias("cancer", "champion")
    moves = bench.operations.moves("cancer", "all")
    assert [(move.to_version, move.state) for move in moves] == [(champion.version, "done")]
    assert bench.operations.held("") == []
    assert still_running(bench) == []


def still_running(bench: Workbench) -> list[str]:
    import mlflow

    client = mlflow.MlflowClient(bench.mlflow_address)
    experiment = client.get_experiment_by_name(
        ModelIdentity(name="cancer", task=Task.BINARY, target="target").registered_name
    )
    runs = client.search_runs([experiment.experiment_id], "attributes.status = 'RUNNING'")
    return [run.info.run_id for run in runs]
