import logging
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mlops_dagster.clock import ReplayClock
from mlops_dagster.declaration import ModelIdentity, Task
from mlops_dagster.workbench import StepContext, Workbench

MODEL = ModelIdentity(name="shop", task=Task.BINARY, target="late", key=("id",), event_time="at")


@pytest.fixture
def open_step(tmp_path: Path) -> Callable[..., StepContext]:
    """Open a step of a model in this test's own home."""
    clock = ReplayClock(tmp_path / "now")
    clock.set(datetime(2013, 5, 1, tzinfo=UTC))
    bench = Workbench(home=tmp_path / "home", clock=clock)

    def opened(noun: str = "raw_data", **changed: object) -> StepContext:
        return StepContext(
            model=MODEL.model_copy(update=changed),
            bench=bench,
            run_id="run1",
            root_run_id="run1",
            noun=noun,
            log=logging.getLogger("test"),
        )

    return opened
