"""Convert a version's estimator to ONNX, and see whether it answers as the estimator does."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from mlops_dagster.errors import StoreError
from mlops_dagster.records import Check, Outcome, Severity, Shown, TrainedModel
from mlops_dagster.register.rules import ACCELERATOR
from mlops_dagster.scoring.accelerated import (
    Accelerator,
    OnnxPipeline,
    conversions,
    digest,
    with_pipeline,
)
from mlops_dagster.scoring.holdout_rows import spread_rows
from mlops_dagster.scoring.inputs import as_given
from mlops_dagster.scoring.loader import ScoringModel, open_trained
from mlops_dagster.scoring.onnx_extra import need_onnx
from mlops_dagster.scoring.parity import answers_of, first_difference
from mlops_dagster.scoring.rows import typed_like
from mlops_dagster.workbench import StepContext

ROWS = 1_000
_FILE = "estimator.onnx"
REFUSED = Check(
    name=ACCELERATOR,
    outcome=Outcome.NOT_APPLICABLE,
    because="The candidate was not accepted: nothing was converted.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """One conversion and its answers beside scikit-learn's: the largest distance, the first difference."""

    made: OnnxPipeline
    largest: float
    difference: str


def accelerate(
    context: StepContext, trained: TrainedModel, *, tolerance: float
) -> tuple[Check, Accelerator | None]:
    """Convert the estimator and keep its file with the run, if its answers are within the tolerance.

    Raises: MissingExtraError when the optional part is not installed.
    """
    need_onnx(to_convert=True)
    folder = context.bench.tracking.download(trained.model_uri)
    model = open_trained(folder, sha256=trained.artifact_sha256)
    held_out = context.bench.tables.dataset(trained.holdout.name, version=trained.holdout.version)
    rows = typed_like(as_given(spread_rows(held_out, columns=model.inputs, most=ROWS)), model)
    try:
        best = closest(model, rows, tolerance=tolerance)
    except StoreError as error:
        return _slow(str(error)), None
    asked = f"{len(rows):,} rows of the holdout in {best.made.numbers} precision"
    if best.difference:
        why = f"Of {asked}: {best.difference} The largest difference is {best.largest:.1e}."
        return _slow(why), None
    because = (
        f"ONNX answers {asked} as scikit-learn does; the largest difference is {best.largest:.1e}, "
        f"{tolerance:g} is allowed. The endpoint uses it."
    )
    shown = {"largest difference": Shown(kind="number", value=best.largest)}
    check = Check(name=ACCELERATOR, outcome=Outcome.PASSED, because=because, shown=shown)
    return check, keep(context, trained, best.made, tolerance=tolerance)


def closest(model: ScoringModel, rows: pd.DataFrame, *, tolerance: float) -> Tried:
    """Try the conversions until one answers alike, else give the closest one.

    Raises: StoreError when nothing can be converted, or nothing converted answers.
    """
    plain, tried, said = model.predict_typed(rows), [], []
    for made in conversions(model.artifact):
        try:
            fast = with_pipeline(model, made).predict_typed(rows)
        except StoreError as error:
            said.append(str(error))
            continue
        ways = {"scikit-learn": answers_of(plain), "ONNX": answers_of(fast)}
        difference = first_difference(ways, tolerance=tolerance)
        tried.append(Tried(made=made, largest=distance(plain, fast), difference=difference))
        if not difference:
            return tried[-1]
    if not tried:
        message = f"What was converted gives no answer. {' '.join(said)}"
        raise StoreError(message)
    return min(tried, key=lambda one: one.largest)


def distance(plain: pd.DataFrame, fast: pd.DataFrame) -> float:
    """Give the largest difference of two answers' numbers: probabilities, or else predictions."""
    likely = [name for name in plain if str(name).startswith("probability")]
    columns = likely or ["prediction"]
    apart = plain[columns].to_numpy("float64") - fast[columns].to_numpy("float64")
    return float(np.abs(apart).max())


def keep(
    context: StepContext, trained: TrainedModel, made: OnnxPipeline, *, tolerance: float
) -> Accelerator:
    """Keep the file with the run: the model's own files are closed by their digest since training."""
    sha256 = digest(made.content)
    under = f"accelerator/{trained.model_id}/{sha256[:16]}"
    with tempfile.TemporaryDirectory() as place:
        (Path(place) / _FILE).write_bytes(made.content)
        context.bench.tracking.log_files(trained.mlflow_run_id, Path(place), under=under)
    return Accelerator(
        path=f"{under}/{_FILE}", sha256=sha256, numbers=made.numbers, tolerance=tolerance
    )


def _slow(why: str) -> Check:
    return Check(
        name=ACCELERATOR,
        outcome=Outcome.REFUSED,
        severity=Severity.WARNING,
        because=f"The endpoint answers with scikit-learn. {why}",
    )
