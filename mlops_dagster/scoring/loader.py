"""Load a model that is what was registered, and score with it."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from mlops_dagster.errors import StoreError
from mlops_dagster.records import SHA256_TAG
from mlops_dagster.scoring.artifact import ModelArtifact
from mlops_dagster.scoring.digest import artifact_sha256
from mlops_dagster.scoring.example import read_example, same_answers, told
from mlops_dagster.stores.mlflow_home import be_quiet
from mlops_dagster.stores.registry import ModelVersion, Registry

SHA256 = SHA256_TAG


@dataclass(frozen=True)
class ScoringModel:
    """A loaded model. `predict` gives exactly what `mlflow.pyfunc.load_model(...).predict` gives."""

    version: str
    folder: Path
    loaded: Any
    artifact: ModelArtifact

    @property
    def inputs(self) -> list[str]:
        """The columns it is given."""
        return self.artifact.inputs

    @property
    def columns(self) -> list[str]:
        """The feature columns that it makes of them."""
        return self.artifact.columns

    @property
    def labels(self) -> list[Any]:
        """The classes, in the order of its probabilities."""
        return self.artifact.labels

    @property
    def pipeline(self) -> Any:
        """The fitted scikit-learn pipeline on the feature columns."""
        return self.artifact.pipeline

    @cached_property
    def is_reentrant(self) -> bool:
        """Whether several threads may score features at once: each part is scikit-learn's own.

        Its `predict` changes nothing. Nobody promises that of a user's estimator or function.
        """
        told: Iterable[Any] = getattr(self.pipeline, "get_params", dict)().values()
        acting = [one for one in told if callable(one) or hasattr(one, "get_params")]
        homes = {_home(one).partition(".")[0] for one in (self.pipeline, *acting)}
        return homes <= {"sklearn", "numpy"}

    def predict(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Score rows of inputs. MLflow's look at every single value is left out: the artifact casts."""
        return self.artifact.predict(None, rows)

    def predict_typed(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Score as `predict` does rows that have its inputs, in their order and types, already.

        `InputSchema.frame` and `typed_like` give such rows; casting them again is dear for a single one.
        """
        return self.score(self.features_typed(rows))

    def score(self, features: pd.DataFrame) -> pd.DataFrame:
        """Score feature columns that `features_typed` made."""
        return self.artifact.score(features)

    def features_typed(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Make the feature columns that `predict_typed` scores."""
        made = rows.copy(deep=False)
        for function in self.artifact.functions:
            made = function(made)
        return made.reindex(columns=self.columns)

    def features(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Make the feature columns of rows."""
        return self.artifact.features(rows)

    def check_example(self) -> None:
        """Score the stored example. Raises: StoreError when it gives anything else than it did."""
        stored = read_example(self.folder)
        rows = pd.DataFrame(stored.inputs, columns=self.inputs)
        answer = told(self.artifact.predict(None, rows))
        if not same_answers(answer, stored.predictions):
            message = (
                f"Version {self.version} at {self.folder} answers its own example with {answer}, and "
                f"must with {stored.predictions}. It was not put to use; register it again."
            )
            raise StoreError(message)


@cache
def open_model(folder: Path, version: str = "candidate") -> ScoringModel:
    """Load a model's files as they are. Use `open_trained` or `load_verified` for what was stored."""
    be_quiet()
    import mlflow.pyfunc

    loaded = mlflow.pyfunc.load_model(str(folder))
    return ScoringModel(
        version=version,
        folder=folder,
        loaded=loaded,
        artifact=loaded.unwrap_python_model().inner,
    )


def open_trained(folder: Path, *, sha256: str) -> ScoringModel:
    """Load a candidate that is not registered yet, after its files were found to be those trained.

    Raises: StoreError when they are not; nothing is unpickled then.
    """
    check_files(folder, sha256=sha256)
    return _opened(folder, "candidate", sha256)


def check_files(folder: Path, *, sha256: str) -> None:
    """See that a trained model's files are what was trained. Raises: StoreError when they are not."""
    found = artifact_sha256(folder)
    if not folder.is_dir() or found != sha256:
        what = f"have SHA-256 {found}, trained was {sha256}" if folder.is_dir() else "are gone"
        message = (
            f"The trained model's files at {folder} {what}. They are not loaded. "
            "Materialize trained_model again."
        )
        raise StoreError(message)


def load_verified(registry: Registry, version: ModelVersion) -> ScoringModel:
    """Load a registered version, after its files were found to be those that were registered.

    Raises: StoreError when the SHA-256 is missing or differs; nothing is unpickled then.
    """
    folder = registry.download(version)
    expected = version.tags.get(SHA256)
    found = artifact_sha256(folder)
    if found != expected:
        message = (
            f"{version.name} version {version.version}: the files at {folder} have SHA-256 {found}, "
            f"registered was {expected or 'none'}. They were changed or are incomplete, and are not "
            "loaded. Restore them, or train and register again."
        )
        raise StoreError(message)
    return _opened(folder, version.version, found)


@cache
def _opened(folder: Path, version: str, sha256: str) -> ScoringModel:
    del sha256  # part of the key: changed files are another model
    return open_model.__wrapped__(folder, version)


def _home(part: Any) -> str:
    """Name the module that a function, a class or an object's class comes from."""
    owner = part if hasattr(part, "__qualname__") else type(part)
    return str(owner.__module__)
