"""Save small models for the tests of what comes after training."""

import sys
from collections.abc import Sequence
from pathlib import Path

from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mlops_dagster.declaration import ModelIdentity, Task
from mlops_dagster.scoring.artifact import ModelArtifact
from mlops_dagster.scoring.by_value import explicit_requirements, package_model, signature_of
from mlops_dagster.scoring.digest import artifact_sha256
from mlops_dagster.scoring.loader import SHA256
from mlops_dagster.stores.tracking import RunOwner, tracked

MODEL = ModelIdentity(
    name="parcels", task=Task.BINARY, target="late", key=("id",), event_time="seen"
)
SOURCE = """
import numpy as np
from {name}.numbers import FACTOR

def doubled(rows):
    return rows.assign(size2=rows["size"] * FACTOR, hour=rows["seen"].dt.hour.astype("float64"))
"""


def user_package(folder: Path, *, name: str, factor: float = 2.0, source: str = SOURCE):
    """Write and import a user's package with a feature function in two modules."""
    (folder / name).mkdir(parents=True)
    (folder / name / "__init__.py").touch()
    (folder / name / "numbers.py").write_text(f"FACTOR = {factor}\n")
    (folder / name / "features.py").write_text(source.format(name=name))
    sys.path.insert(0, str(folder))
    try:
        return __import__(f"{name}.features", fromlist=["doubled"]).doubled
    finally:
        sys.path.remove(str(folder))


def artifact_of(points, function, *, strength: float = 1.0) -> ModelArtifact:
    columns = ["size", "size2", "hour"]
    inputs = ["seen", "size"]
    made = function(points[inputs])
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=strength))
    pipeline.fit(made[columns], points["late"])
    return ModelArtifact(
        functions=[function], inputs=inputs, columns=columns, pipeline=pipeline,
        task="binary_classification", labels=[0.0, 1.0], times=["seen"], numbers=["size"],
    )  # fmt: skip


def save(
    artifact: ModelArtifact, folder: Path, points, *, package: str, optional: Sequence[str] = ()
) -> Path:
    rows = points[artifact.inputs]
    package_model(
        artifact, folder, user_packages=[package], input_example=rows.head(),
        signature=signature_of(rows, artifact.predict(None, rows), optional=optional),
        requirements=explicit_requirements("sklearn.linear_model.LogisticRegression"),
    )  # fmt: skip
    return folder


def register(bench, folder: Path, *, run: str, alias: str | None = None, tags=None) -> str:
    """Log and register a saved model; give its version."""
    owner = RunOwner(root_run_id=run, run_id=run, model=MODEL.name, segment="all")
    with tracked(bench.tracking, owner) as run_id:
        logged = bench.tracking.log_model(run_id, folder, name="model")
    version = bench.registry.create_version(
        MODEL.registered_name, source=logged.uri, mlflow_run_id=run_id, model_id=logged.model_id,
        tags={SHA256: artifact_sha256(folder), "mlops_dagster.outcome": "passed", **(tags or {})},
    )  # fmt: skip
    if alias:
        bench.registry.set_alias(MODEL.registered_name, alias, version.version)
    return version.version
