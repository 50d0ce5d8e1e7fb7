"""The example that a model must answer alike wherever it is loaded, kept beside its files."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from mlops_dagster.errors import DataNotFitError
from mlops_dagster.scoring.artifact import ModelArtifact
from mlops_dagster.scoring.rows import encode_inputs

EXAMPLE = "expected_predictions.json"
Answer = Mapping[str, Sequence[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A few rows as JSON holds them, what the model answers, and the packages that it carries."""

    inputs: Sequence[Mapping[str, Any]]
    predictions: Answer
    carried: Sequence[str]


def write_example(
    folder: Path, artifact: ModelArtifact, rows: pd.DataFrame, *, carried: Sequence[str]
) -> None:
    """Keep rows and their answer beside a model's files.

    Raises: DataNotFitError when the model answers otherwise once the rows went through JSON, as every
    row that is asked about later does.
    """
    inputs = [json.loads(text) for text in encode_inputs(rows)]
    answer = told(artifact.predict(None, pd.DataFrame(inputs, columns=artifact.inputs)))
    plain = told(artifact.predict(None, rows))
    if not same_answers(answer, plain):
        message = (
            f"The model answers its example with {plain}, but with {answer} when the same rows come as "
            "JSON, as they do where it serves. Let the feature code take dates and decimals as text."
        )
        raise DataNotFitError(message)
    content = {"carried": sorted(carried), "inputs": inputs, "predictions": answer}
    (folder / EXAMPLE).write_text(json.dumps(content))


def read_example(folder: Path) -> Example:
    """Read what `write_example` kept."""
    return Example(**json.loads((folder / EXAMPLE).read_text()))


def told(answer: pd.DataFrame) -> Answer:
    """Write an answer as JSON holds it."""
    plain: Answer = json.loads(json.dumps(answer.to_dict(orient="list"), default=str))
    return plain


def same_answers(one: Answer, other: Answer) -> bool:
    """Tell whether two answers are alike: labels equal, numbers to 12 digits.

    Not to the last bit: an estimator with several threads sums its trees in any order.
    """
    return one.keys() == other.keys() and all(
        len(values) == len(other[name])
        and all(alike(a, b) for a, b in zip(values, other[name], strict=True))
        for name, values in one.items()
    )


def alike(one: Any, other: Any, *, tolerance: float = 1e-12) -> bool:
    """Tell whether two values are alike: floats within `tolerance`, relative and absolute."""
    if isinstance(one, float) and isinstance(other, float):
        both_nan = math.isnan(one) and math.isnan(other)
        return both_nan or math.isclose(one, other, rel_tol=tolerance, abs_tol=tolerance)
    return bool(one == other)
