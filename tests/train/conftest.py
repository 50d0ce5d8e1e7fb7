import itertools
import logging
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from mlops_dagster.declaration import ModelIdentity, Task
from mlops_dagster.features.run import run as make_features
from mlops_dagster.features.spec import FeaturesSpec
from mlops_dagster.records import FeatureSet, Snapshot, TrainedModel
from mlops_dagster.stores.described import combined_version
from mlops_dagster.stores.tables import BATCH
from mlops_dagster.train.run import run
from mlops_dagster.train.spec import TrainSpec
from mlops_dagster.workbench import StepContext, Workbench

MODEL = ModelIdentity(
    name="parcels", task=Task.BINARY, target="late", key=("id",), event_time="seen"
)
BOOSTED = "sklearn.ensemble.HistGradientBoostingClassifier"
LINEAR = "sklearn.linear_model.LogisticRegression"
SMALL = {"max_iter": 5}
NUMBERS = itertools.count()
CODE = """
def shapes(rows):
    return rows.assign(
        twice=rows["size"] * 2,
        shop_name=rows["shop"].astype(str),
        weekday=rows["seen"].dt.day_of_week,
    )
"""


@dataclass(frozen=True)
class Shop:
    """One model's home in a test: rows in, a candidate out."""

    bench: Workbench
    functions: tuple[str, ...]

    def step(self, *, run_id: str = "run1", root: str = "", **changed: object) -> StepContext:
        return StepContext(
            model=MODEL.model_copy(update=changed),
            bench=self.bench,
            run_id=run_id,
            root_run_id=root or run_id,
            noun="trained_model",
            log=logging.getLogger("test"),
        )

    def features(self, context: StepContext, rows: pd.DataFrame) -> FeatureSet:
        table = pa.Table.from_pandas(rows, preserve_index=False)
        table = table.append_column(BATCH, pa.array([3] * len(rows), pa.int64()))
        name = context.table("validated_data")
        written = self.bench.tables.overwrite(name, table, state={"accepted_to": "3"})
        snapshot = Snapshot(
            **context.stamp(),
            data_version=combined_version(written.ref, {}),
            table=written.ref,
            new_rows=len(rows),
            through=3,
        )
        return make_features(context, FeaturesSpec(functions=self.functions), snapshot, joins={})

    def train(self, context: StepContext, made: FeatureSet, **spec: object) -> TrainedModel:
        declared = TrainSpec(**{"estimator": BOOSTED, "parameters": SMALL, **spec})
        return run(
            context,
            declared,
            made,
            functions=self.functions,
            reference_window=timedelta(days=7),
        )


@pytest.fixture
def shop(bench: Workbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """A home with a user's package of one feature function."""
    name = f"parcel_training_{next(NUMBERS)}"
    folder = tmp_path / "code" / name
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "features.py").write_text(textwrap.dedent(CODE))
    monkeypatch.syspath_prepend(tmp_path / "code")
    return Shop(bench=bench, functions=(f"{name}.features:shapes",))


@pytest.fixture
def parcels() -> pd.DataFrame:
    """Four hundred rows over hundred days."""
    chance = np.random.default_rng(5)
    size = chance.normal(size=400)
    return pd.DataFrame(
        {
            "id": range(400),
            "seen": pd.date_range("2026-01-01", periods=400, freq="6h", tz="UTC"),
            "shop": chance.integers(1, 5, 400),
            "size": np.where(chance.random(400) < 0.05, np.nan, size),
            "kind": chance.choice(["a", "b", None], 400),
            "late": (size + chance.normal(scale=0.5, size=400) > 0).astype(float),
        }
    )


@pytest.fixture
def learn(shop: Shop) -> Callable[..., TrainedModel]:
    """Make features of rows and train on them, in one step."""

    def learned(rows: pd.DataFrame, *, model: dict[str, object] | None = None, **spec: object):
        context = shop.step(**(model or {}))
        return shop.train(context, shop.features(context, rows), **spec)

    return learned
