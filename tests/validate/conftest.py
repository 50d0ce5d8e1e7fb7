import logging
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from mlops_dagster.clock import ReplayClock
from mlops_dagster.declaration import ModelIdentity, Task
from mlops_dagster.records import Snapshot
from mlops_dagster.stores.tables import BATCH
from mlops_dagster.workbench import StepContext, Workbench

MODEL = ModelIdentity(name="shop", task=Task.BINARY, target="late", key=("id",), event_time="at")


@pytest.fixture
def open_step(tmp_path: Path) -> Callable[..., StepContext]:
    """Open a step of a model in this test's own home."""
    clock = ReplayClock(tmp_path / "now")
    clock.set(datetime(2013, 5, 1, tzinfo=UTC))
    bench = Workbench(home=tmp_path / "home", clock=clock)

    def opened(noun: str = "validated_data", **changed: object) -> StepContext:
        return StepContext(
            model=MODEL.model_copy(update=changed),
            bench=bench,
            run_id="run1",
            root_run_id="run1",
            noun=noun,
            log=logging.getLogger("test"),
        )

    return opened


@pytest.fixture
def arrive() -> Callable[..., Snapshot]:
    """Let rows arrive in `raw_data` as one batch, the way that ingest leaves them."""

    def arrived(step: StepContext, rows: pd.DataFrame | None = None) -> Snapshot:
        tables, name, key = step.bench.tables, step.table("raw_data"), step.model.key
        latest = tables.latest(name)
        batch = int(latest.state["batch"]) if latest else 0
        if rows is not None:
            batch += 1
            table = pa.Table.from_pandas(rows, preserve_index=False)
            table = table.append_column(BATCH, pa.array([batch] * len(rows), pa.int64()))
            state = {"batch": str(batch), "mode": "keyed" if key else "snapshot"}
            if key:
                latest = tables.upsert(name, table, key=key, state=state)
            else:
                latest = tables.overwrite(
                    name, table, state={**state, "snapshot_batch": str(batch)}
                )
        return Snapshot(
            **step.stamp(),
            data_version=latest.ref.digest,
            table=latest.ref,
            new_rows=0,
            through=batch,
        )

    return arrived
