"""Rows of one column in a few groups: by label, or by where a number lies."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

MOST_GROUPS = 20
OTHER, NULL = "(other)", "(null)"
_DECILES = np.arange(1, 10) / 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Grouping:
    """How one column's rows are grouped. Numbers by `edges` (`(a, b]`), labels by name.

    `names` are the groups there are; a label that is not among them is `(other)`.
    """

    column: str
    names: tuple[str, ...]
    edges: tuple[float, ...] = ()

    def of(self, values: "pd.Series[Any]") -> npt.NDArray[np.object_]:
        """Tell each row's group."""
        if not self.edges:
            codes, texts = _texts(values)
            named = [one if one in self.names else OTHER for one in texts]
            return np.asarray(named, dtype=object)[codes]
        numbers = pd.to_numeric(values, errors="coerce").to_numpy(np.float64)
        places = np.searchsorted(self.edges, numbers, side="left")
        ranges = np.asarray(_ranges(self.edges), dtype=object)[places]
        return np.where(np.isnan(numbers), NULL, ranges)


def group_labels(column: str, values: "pd.Series[Any]") -> Grouping:
    """Group by the most frequent labels."""
    counted = pd.Series(as_text(values)).value_counts().head(MOST_GROUPS)
    return Grouping(column=column, names=tuple(sorted(map(str, counted.index))))


def group_values(column: str, values: "pd.Series[Any]") -> Grouping:
    """Group numbers by tenths where there are more than 20 of them, anything else by label."""
    if not pd.api.types.is_numeric_dtype(values) or values.nunique() <= MOST_GROUPS:
        return group_labels(column, values)
    numbers = values.to_numpy(np.float64, na_value=np.nan)
    tenths = np.quantile(numbers[np.isfinite(numbers)], _DECILES)
    edges = tuple(sorted({float(f"{edge:.4g}") for edge in tenths}))
    return Grouping(column=column, names=(*_ranges(edges), NULL), edges=edges)


def as_text(values: "pd.Series[Any]") -> npt.NDArray[np.object_]:
    """Write values so that 1, 1.0 and true are one: a served row knows no integers."""
    codes, texts = _texts(values)
    return np.asarray(texts, dtype=object)[codes]


def _texts(values: "pd.Series[Any]") -> tuple[npt.NDArray[np.intp], list[str]]:
    """Number the distinct values, and write each; the last one stands for null."""
    codes, each = pd.factorize(values)
    return codes, [*map(_text, each.tolist()), NULL]


def _text(value: Any) -> str:
    if isinstance(value, bool | np.bool_):
        return str(int(value))
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _ranges(edges: Sequence[float]) -> list[str]:
    inner = [f"{low:g} to {high:g}" for low, high in itertools.pairwise(edges)]
    return [f"up to {edges[0]:g}", *inner, f"over {edges[-1]:g}"]
