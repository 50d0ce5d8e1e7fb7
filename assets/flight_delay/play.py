"""Play time: move the clock, let the sensors look, run what they ask for. As the daemon does, at once."""

import gc
import logging
import os
import shutil
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import dagster as dg

from mlops_dagster.cli.location import SETTINGS
from mlops_dagster.clock import VARIABLE, ReplayClock
from mlops_dagster.declaration import ModelIdentity
from mlops_dagster.resources import WORKBENCH, WORKBENCH_KEY
from mlops_dagster.workbench import Workbench

MARK = "made-by-make-demo"
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def fresh_home() -> Path:
    """Empty the home of an earlier demonstration; anybody else's is left alone."""
    home = Path(os.environ.get("MLOPS_HOME", ".mlops")).resolve()
    made = [one for one in home.glob("*") if one.name != "dagster"] if home.exists() else []
    if made and not (home / MARK).exists():
        message = (
            f"{home} holds something else than this demonstration. "
            "Run it elsewhere: MLOPS_HOME=.demo make demo"
        )
        raise SystemExit(message)
    shutil.rmtree(home, ignore_errors=True)
    dagster_home = home / "dagster"
    dagster_home.mkdir(parents=True)
    (home / MARK).touch()
    (dagster_home / "dagster.yaml").write_text(SETTINGS)
    os.environ.update(
        MLOPS_HOME=str(home), DAGSTER_HOME=str(dagster_home), **{VARIABLE: f"replay:{home}/clock"}
    )
    return home


class Player:
    """One model's definitions on a persistent Dagster instance, under a clock that it moves."""

    def __init__(self, home: Path, start: datetime) -> None:
        logging.getLogger("dagster").setLevel(logging.CRITICAL)
        warnings.filterwarnings("ignore", category=UserWarning, module="dagster")
        self.clock = ReplayClock(home / "clock")
        self.clock.set(start)
        # Making MLflow's database takes seconds, and the first rows can be read meanwhile.
        subprocess.Popen([sys.executable, "-m", "assets.flight_delay.prepare"])
        self.instance = dg.DagsterInstance.get()
        from assets.flight_delay.definitions import defs, flight_delay

        self.defs = defs
        self.model: ModelIdentity = flight_delay.identity
        self.bench: Workbench = WORKBENCH.open()
        self.cursors: dict[str, str | None] = {}
        self.began = time.monotonic()
        # Looking through all that is loaded, again and again, took 4 of 115 seconds.
        gc.set_threshold(100_000, 50, 100)

    def run(self, job: str, *, tags: dict[str, str] | None = None) -> dg.ExecuteInProcessResult:
        """Run one of the model's jobs, whatever becomes of it."""
        return self.defs.resolve_job_def(self.model.job(job)).execute_in_process(
            instance=self.instance, raise_on_error=False, tags=tags, run_config=QUIET
        )

    def full_name(self, sensor: str) -> str:
        """Name a sensor as Dagster does."""
        return f"{self.model.name}_{sensor}_sensor"

    def look(self, sensor: str) -> Iterator[dg.RunRequest]:
        """Let a sensor look once, and give what it asks for."""
        name = self.full_name(sensor)
        definition = self.defs.get_repository_def().get_sensor_def(name)
        context = dg.build_sensor_context(
            instance=self.instance,
            cursor=self.cursors.get(name),
            resources={WORKBENCH_KEY: WORKBENCH},
            sensor_name=name,
        )
        result = definition(context)
        if not isinstance(result, dg.SensorResult):
            message = f"{name} gave {result!r} instead of a SensorResult"
            raise TypeError(message)
        self.cursors[name] = result.cursor
        yield from result.run_requests or []

    def obey(self, sensor: str) -> list[tuple[dg.RunRequest, dg.ExecuteInProcessResult]]:
        """Let a sensor look, and run what it asks for."""
        done = []
        for request in self.look(sensor):
            job = str(request.job_name).removeprefix(f"{self.model.name}_")
            tags = {
                **request.tags,
                "dagster/run_key": str(request.run_key),
                "dagster/sensor_name": self.full_name(sensor),
            }
            done.append((request, self.run(job, tags=tags)))
        return done

    def tell(self, text: str) -> None:
        """Say one thing, with the replayed date and the seconds that went by."""
        seconds = time.monotonic() - self.began
        print(f"{seconds:5.0f} s  {self.clock.now():%Y-%m-%d}  {text}", flush=True)  # noqa: T201
