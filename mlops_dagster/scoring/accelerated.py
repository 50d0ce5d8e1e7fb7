"""The fitted estimator as ONNX: made when a version is registered, used where it answers the same.

Feature functions and encoders of text stay Python. ONNX's trees compare in single precision, so what is
made of them may answer otherwise; nothing is used before its answers were compared.
"""

import copy
import hashlib
import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlops_dagster.errors import MissingExtraError, StoreError, first_line
from mlops_dagster.records import ACCELERATOR_TAG
from mlops_dagster.scoring.artifact import ModelArtifact
from mlops_dagster.scoring.loader import ScoringModel
from mlops_dagster.scoring.onnx_extra import need_onnx
from mlops_dagster.stores.registry import ModelVersion, Registry

log = logging.getLogger("mlops_dagster.scoring")
Matrix = npt.NDArray[np.floating[Any]]
Numbers = Literal["double", "float"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Accelerator:
    """A version's ONNX file: where it is kept with the version's run, and how far its answers are off."""

    path: str
    sha256: str
    numbers: Numbers
    tolerance: float

    def tag(self) -> str:
        """Write it as a version's tag keeps it."""
        return json.dumps(asdict(self))


@dataclass(frozen=True)
class OnnxPipeline:
    """Stands for a fitted pipeline: the same questions, answers of the same shapes.

    `prepare` makes a matrix of the feature columns, `content` is the ONNX model of the rest.
    """

    content: bytes
    prepare: Callable[[pd.DataFrame], Matrix]
    numbers: Numbers

    @cached_property
    def _session(self) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        # One thread predicts; more of them would only wait for each other on a single row.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        return onnxruntime.InferenceSession(
            self.content, options, providers=["CPUExecutionProvider"]
        )

    def predict(self, given: pd.DataFrame) -> Matrix:
        """Predict numbers."""
        return self._run(given)[0].reshape(len(given))

    def predict_proba(self, given: pd.DataFrame) -> Matrix:
        """Predict the probability of each class."""
        return self._run(given)[1]

    def _run(self, given: pd.DataFrame) -> list[Matrix]:
        kind = np.float64 if self.numbers == "double" else np.float32
        matrix = np.ascontiguousarray(self.prepare(given), dtype=kind)
        try:
            answers: list[Matrix] = self._session.run(None, {"rows": matrix})
        except Exception as error:
            # The runtime's errors have no common type of their own.
            raise _failed(self.numbers, error) from error
        return answers


def conversions(artifact: ModelArtifact) -> Iterator[OnnxPipeline]:
    """Convert a linear estimator in double precision, and any in single; what cannot be made is left out.

    Raises: StoreError with the converter's word when nothing can be made.
    """
    rest, prepare, width = parted(artifact)
    said = []
    # Of trees the converter makes nothing exact in double precision, and may never end: it looks for the
    # neighbour of an infinite threshold, which is how a forest splits by missing values.
    linear = hasattr(artifact.pipeline.steps[-1][1], "coef_")
    kinds: tuple[Numbers, ...] = ("double", "float") if linear else ("float",)
    for numbers in kinds:
        try:
            yield OnnxPipeline(_converted(rest, width, numbers), prepare, numbers)
        except StoreError as error:
            said.append(str(error))
    if len(said) == len(kinds):
        message = f"It cannot be converted to ONNX: {' '.join(said)}"
        raise StoreError(message)


def parted(artifact: ModelArtifact) -> tuple[Any, Callable[[pd.DataFrame], Matrix], int]:
    """Part a pipeline into what stays Python, a matrix after it, and the rest with the matrix's width.

    Where no feature is text, all of it is converted.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import Pipeline

    pipeline, columns = artifact.pipeline, list(artifact.columns)
    first = pipeline.steps[0][1]
    if artifact.texts or (isinstance(first, ColumnTransformer) and len(first.transformers) != 1):
        last = pipeline.steps[-1][1]
        return last, pipeline[:-1].transform, int(last.n_features_in_)
    if isinstance(first, ColumnTransformer):
        [(name, how, columns)] = first.transformers
        encoder = [] if how == "passthrough" else [(name, first.named_transformers_[name])]
        pipeline = Pipeline([*encoder, *pipeline.steps[1:]])
    return pipeline, lambda given: given[columns].to_numpy(), len(columns)


def _converted(fitted: Any, width: int, numbers: Numbers) -> bytes:
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType

    kind = DoubleTensorType if numbers == "double" else FloatTensorType
    options = {id(fitted): {"zipmap": False}} if hasattr(fitted, "predict_proba") else None
    try:
        made = to_onnx(fitted, initial_types=[("rows", kind([None, width]))], options=options)
        content: bytes = made.SerializeToString()
    except Exception as error:
        # The converter, and each estimator's part of it, are somebody else's code.
        raise _failed(numbers, error) from error
    return content


def _failed(numbers: Numbers, error: Exception) -> StoreError:
    message = f"In {numbers} precision: {type(error).__name__}: {first_line(error)}"
    return StoreError(message)


def with_pipeline(model: ScoringModel, pipeline: OnnxPipeline) -> ScoringModel:
    """Give the same model with another pipeline behind its feature functions."""
    artifact = copy.copy(model.artifact)
    artifact.pipeline = pipeline
    return replace(model, artifact=artifact)


def accelerator_of(version: ModelVersion) -> Accelerator | None:
    """Read what a version says of its ONNX file; None when it has none that may be used."""
    tag = version.tags.get(ACCELERATOR_TAG, "")
    return Accelerator(**json.loads(tag)) if tag else None


def accelerated(registry: Registry, version: ModelVersion, model: ScoringModel) -> ScoringModel:
    """Let a verified model answer by its ONNX file, if it has one that is what was registered.

    Else it answers as it is, and the log says why: the file only makes it faster.
    """
    accelerator = accelerator_of(version)
    if accelerator is None:
        return model
    try:
        need_onnx(to_convert=False)
        content = _verified(registry, version, accelerator)
    except (StoreError, MissingExtraError) as error:
        log.warning("%s %s uses scikit-learn: %s", version.name, version.version, error)
        return model
    _, prepare, _ = parted(model.artifact)
    return with_pipeline(model, OnnxPipeline(content, prepare, accelerator.numbers))


def _verified(registry: Registry, version: ModelVersion, accelerator: Accelerator) -> bytes:
    path = registry.fetch(version, accelerator.path)
    content = path.read_bytes()
    found = digest(content)
    if found != accelerator.sha256:
        message = (
            f"{path} has SHA-256 {found}, registered was {accelerator.sha256}. It was changed and is "
            "not loaded. Register the version again."
        )
        raise StoreError(message)
    return content


def digest(content: bytes) -> str:
    """Digest a file; 64 hex digits."""
    return hashlib.sha256(content).hexdigest()
