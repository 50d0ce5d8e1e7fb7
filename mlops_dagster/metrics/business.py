"""What decisions are worth: a value per row, in the user's own unit."""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from mlops_dagster.declaration import BusinessValue
from mlops_dagster.errors import DataNotFitError, SpecError
from mlops_dagster.metrics.quality import Scored

RowValues: TypeAlias = Callable[[Scored], npt.NDArray[np.float64]]


def values_of(value: BusinessValue) -> RowValues:
    """Value each decision by what its kind is worth. For two labels; the last one is the positive."""
    worth = np.asarray(value.by_kind, dtype=np.float64)

    def values(scored: Scored) -> npt.NDArray[np.float64]:
        return np.asarray(worth[scored.truth, scored.predicted])

    return values


def values_by(function: Callable[..., Any], *, where: str) -> RowValues:
    """Value decisions by a user's function of (truth, prediction, probability), all arrays."""

    def values(scored: Scored) -> npt.NDArray[np.float64]:
        given = None if scored.probability is None else np.asarray(scored.probability)
        flat = (
            given.reshape(-1) if given is not None and given.size == len(scored.y_true) else given
        )
        found = np.asarray(function(scored.y_true, scored.y_pred, flat), dtype=np.float64)
        if found.shape != (len(scored.y_true),):
            message = (
                f"{where} gave an array of shape {found.shape} for {len(scored.y_true)} decisions. "
                "Give one value per decision."
            )
            raise DataNotFitError(message)
        return found

    return values


def best_threshold(value: BusinessValue) -> float:
    """Tell the probability from which deciding for the positive is worth more than against it.

    The probability is taken at its word: it must be calibrated.
    Raises: SpecError when one decision is always the better one.
    Source: Elkan, The Foundations of Cost-Sensitive Learning (2001).
    """
    (true_negative, false_positive), (false_negative, true_positive) = value.by_kind
    against, for_it = true_negative - false_positive, true_positive - false_negative
    if against <= 0 or for_it <= 0:
        message = (
            "evaluate.business: a right decision must be worth more than a wrong one of the same row, "
            f"and here true_negative - false_positive is {against:g} and true_positive - "
            f"false_negative {for_it:g}: one decision would always be made. Mend the values."
        )
        raise SpecError(message)
    return against / (against + for_it)
