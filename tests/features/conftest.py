import itertools
import logging
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from mlops_dagster.declaration import ModelIdentity, Task
from mlops_dagster.records import Snapshot, TableRef
from mlops_dagster.stores.described import combined_version
from mlops_dagster.stores.tables import BATCH
from mlops_dagster.workbench import StepContext, Workbench

MODEL = ModelIdentity(
    name="parcels", task=Task.BINARY, target="late", key=("id",), event_time="seen"
)
NUMBERS = itertools.count()


@pytest.fixture
def step(tmp_path: Path) -> Callable[..., StepContext]:
    """Open the step of a model in this test's own home."""
    bench = Workbench(home=tmp_path / "home")

    def opened(**changed: object) -> StepContext:
        return StepContext(
            model=MODEL.model_copy(update=changed),
            bench=bench,
            run_id="run1",
            root_run_id="run1",
            noun="features",
            log=logging.getLogger("test"),
        )

    return opened


@pytest.fixture
def parcels() -> pd.DataFrame:
    """Four hundred rows, ten of them without an outcome yet."""
    chance = np.random.default_rng(5)
    size = chance.normal(size=400)
    late = (size + chance.normal(scale=0.5, size=400) > 0).astype(float)
    late[-10:] = np.nan
    return pd.DataFrame(
        {
            "id": range(400),
            "seen": pd.date_range("2026-01-01", periods=400, freq="6h", tz="UTC"),
            "shop": chance.integers(1, 5, 400),
            "size": size,
            "kind": chance.choice(["a", "b", None], 400),
            "late": late,
        }
    )


@pytest.fixture
def accept() -> Callable[..., Snapshot]:
    """Leave rows as the room before does: accepted, with the number of their batch."""

    def accepted(
        step: StepContext, rows: pd.DataFrame, *, lookups: Mapping[str, TableRef] | None = None
    ) -> Snapshot:
        table = pa.Table.from_pandas(rows, preserve_index=False)
        table = table.append_column(BATCH, pa.array([1] * len(rows), pa.int64()))
        name = step.table("validated_data")
        written = step.bench.tables.overwrite(name, table, state={"accepted_to": "1"})
        return Snapshot(
            **step.stamp(),
            data_version=combined_version(written.ref, lookups or {}),
            table=written.ref,
            new_rows=len(rows),
            through=1,
            lookups=dict(lookups or {}),
        )

    return accepted


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Write a user's package with feature functions; give the import path of its module."""

    def written(source: str, **others: str) -> str:
        name = f"parcel_project_{next(NUMBERS)}"
        folder = tmp_path / "code" / name
        folder.mkdir(parents=True)
        (folder / "__init__.py").touch()
        for module, text in {"features": source, **others}.items():
            (folder / f"{module}.py").write_text(textwrap.dedent(text).replace("PROJECT", name))
        monkeypatch.syspath_prepend(tmp_path / "code")
        return f"{name}.features"

    return written
