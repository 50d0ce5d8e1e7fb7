"""Two whole lives of one model at once: two processes, one home that nobody has opened before."""

import os
import select
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import mlflow
import pytest

from mlops_dagster.workbench import Workbench

pytestmark = pytest.mark.e2e

RUN = """
import os, sys
import mlops_dagster.stage as stage
from mlops_dagster.cli.main import main

here, go = int(sys.argv[1]), int(sys.argv[2])
perform = stage.perform
def in_step(*given):
    os.write(here, b".")
    os.read(go, 1)  # until the other one is at the door of its stage too, or has ended
    return perform(*given)
stage.perform = in_step
main(["run", "cancer"])
"""
PATIENCE_S = 180


@dataclass(frozen=True)
class Run:
    """`mlops-dagster run` in a process, what it says, and the pipes that keep it in step."""

    process: subprocess.Popen[bytes]
    said: Path
    here: int
    go: int

    def is_at_the_door(self) -> bool:
        """Wait for its next stage; tell whether there is one."""
        # Not `select`: a long test run has more open files than it can count.
        door = select.poll()
        door.register(self.here, select.POLLIN | select.POLLHUP)
        ready = door.poll(PATIENCE_S * 1000)
        assert ready, f"no word for {PATIENCE_S} s: {self.said.read_text()}"
        return bool(os.read(self.here, 1))

    def code(self) -> int:
        """Wait for its end."""
        return self.process.wait(timeout=PATIENCE_S)


@pytest.fixture
def fresh(project) -> dict[str, str]:
    """The project with a home, MLflow and Dagster that are still to be made."""
    new = f"{project['PROJECT']}/new"
    return {**project, "MLOPS_HOME": new, "DAGSTER_HOME": f"{new}/dagster"}


@pytest.fixture
def start(fresh) -> Iterator[Callable[[str], Run]]:
    """Start a run; each is ended after the test."""
    started: list[Run] = []

    def starting(name: str) -> Run:
        here, says = os.pipe()
        waits, go = os.pipe()
        said = Path(fresh["PROJECT"], name)
        with said.open("wb") as log:
            process = subprocess.Popen(
                [fresh["PYTHON"], "-c", RUN, str(says), str(waits)],
                env=fresh, cwd=fresh["PROJECT"], pass_fds=(says, waits), stdout=log, stderr=log,
            )  # fmt: skip
        # Only the process keeps these ends, so that its end is seen at the others.
        os.close(says)
        os.close(waits)
        started.append(Run(process=process, said=said, here=here, go=go))
        return started[-1]

    yield starting
    for one in started:
        one.process.kill()
        one.process.wait()
        os.close(one.here)
        os.close(one.go)


def keep_in_step(runs: list[Run]) -> None:
    """Let each stage begin in every run at the same moment, until all have ended."""
    while runs := [one for one in runs if one.is_at_the_door()]:
        for one in runs:
            os.write(one.go, b".")


def statuses(bench: Workbench) -> list[str]:
    client = mlflow.MlflowClient(bench.mlflow_address)
    experiment = client.get_experiment_by_name("cancer")
    return [one.info.status for one in client.search_runs([experiment.experiment_id])]


def test_two_lives_at_once_keep_each_row_once_and_put_one_champion_live(fresh, start):
    runs = [start("one"), start("other")]
    keep_in_step(runs)
    [late] = [one for one in runs if one.code() != 0]
    told = late.said.read_text()
    assert late.code() == 1
    assert "Traceback" not in told
    assert "Error: deployment: champion_unchanged: " in told
    assert told.endswith("serves now. Evaluate it again.\n")

    bench = Workbench(home=Path(fresh["MLOPS_HOME"]))
    for noun, count in {"raw_data": 569, "validated_data": 569, "features": 529}.items():
        rows = bench.tables.read(f"cancer/all/{noun}").to_pandas()
        assert len(rows) == rows["id"].nunique() == count
    scored = bench.tables.read("cancer/all/predictions").to_pandas()
    assert len(scored) == scored["prediction_id"].nunique() == 40
    champion = bench.registry.by_alias("cancer", "champion")
    assert {one.version for one in bench.registry.versions("cancer")} == {"1", "2"}
    assert set(scored["model_version"]) == {champion.version}
    [move] = bench.operations.moves("cancer", "all")
    assert (move.from_version, move.to_version, move.state) == (None, champion.version, "done")
    assert statuses(bench) == ["FINISHED", "FINISHED"]
    assert bench.operations.held("") == []

    again = start("again")
    keep_in_step([again])
    assert again.code() == 0
    assert "reused" in again.said.read_text()
    assert bench.operations.moves("cancer", "all", state="open") == []
    assert bench.operations.held("") == []
