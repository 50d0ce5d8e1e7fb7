import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from mlops_dagster.declaration import ModelIdentity, Task
from mlops_dagster.evaluate.run import run as evaluate
from mlops_dagster.evaluate.spec import EvaluateSpec
from mlops_dagster.records import Evaluation, FeatureSet, TrainedModel
from mlops_dagster.scoring.feature_rows import PREFIX
from mlops_dagster.scoring.loader import SHA256
from mlops_dagster.stores.registry import CHAMPION
from mlops_dagster.train.run import run as train
from mlops_dagster.train.spec import TrainSpec
from mlops_dagster.workbench import StepContext, Workbench

MODEL = ModelIdentity(name="parcels", task=Task.BINARY, target="late", key=("id",))
GOOD = {"estimator": "sklearn.linear_model.LogisticRegression"}
BAD = {"estimator": "sklearn.linear_model.LogisticRegression", "parameters": {"C": 1e-6}}


@dataclass(frozen=True)
class Court:
    """A home in which candidates are trained on some rows, judged, and made champion."""

    bench: Workbench

    def step(self, run_id: str, model: ModelIdentity = MODEL) -> StepContext:
        return StepContext(
            model=model,
            bench=self.bench,
            run_id=run_id,
            root_run_id=run_id,
            noun="evaluation",
            log=logging.getLogger("test"),
        )

    def features(self, step: StepContext, rows: pd.DataFrame) -> FeatureSet:
        """Keep rows as the room before does; every input but the key is a feature."""
        model = step.model
        inputs = [name for name in rows if name != model.target]
        columns = [name for name in inputs if name not in {*model.key, model.event_time}]
        made = rows[columns].add_prefix(PREFIX)
        table = pa.Table.from_pandas(pd.concat([rows, made], axis=1), preserve_index=False)
        kept = self.bench.tables.overwrite(step.table("features"), table).ref
        return FeatureSet(
            **step.stamp(),
            data_version=kept.digest,
            table=kept,
            source=kept,
            lookups={},
            inputs=tuple(inputs),
            columns=tuple(columns),
            code_digest="none",
        )

    def train(
        self, rows: pd.DataFrame, run_id: str = "run-1", model: ModelIdentity = MODEL, **spec
    ) -> tuple[TrainedModel, FeatureSet]:
        step = self.step(run_id, model)
        features = self.features(step, rows)
        wanted = TrainSpec(**({**GOOD, "seed": 1} | spec))
        week = timedelta(days=7)
        return train(step, wanted, features, functions=(), reference_window=week), features

    def judge(
        self, rows: pd.DataFrame, run_id: str = "run-1", model: ModelIdentity = MODEL, **spec
    ) -> Evaluation:
        asked = EvaluateSpec.model_validate(spec.pop("spec", {}))
        trained, features = self.train(rows, run_id, model, **spec)
        return evaluate(self.step(run_id, model), asked, trained, features)

    def crown(self, trained: TrainedModel, **tags: str) -> str:
        """Make a trained model the champion."""
        version = self.bench.registry.create_version(
            MODEL.registered_name,
            source=trained.model_uri,
            mlflow_run_id=trained.mlflow_run_id,
            model_id=trained.model_id,
            tags={SHA256: trained.artifact_sha256, **tags},
        ).version
        self.bench.registry.set_alias(MODEL.registered_name, CHAMPION, version)
        return version


@pytest.fixture
def court(bench) -> Court:
    return Court(bench=bench)


@pytest.fixture(scope="session")
def parcels() -> pd.DataFrame:
    """Six hundred rows whose target follows one of three columns."""
    chance = np.random.default_rng(11)
    size = chance.normal(size=600)
    return pd.DataFrame(
        {
            "id": range(600),
            "size": size,
            "kind": chance.choice(["a", "b", "a/$x$"], 600, p=[0.6, 0.35, 0.05]),
            "shop": chance.integers(1, 5, 600),
            "late": (size + chance.normal(scale=0.7, size=600) > 0).astype(float),
        }
    )


@pytest.fixture
def refused() -> Callable[[Evaluation], dict[str, str]]:
    return lambda record: {
        one.name: one.because for one in record.checks if one.outcome == "refused"
    }
