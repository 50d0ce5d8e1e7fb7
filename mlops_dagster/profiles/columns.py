"""What a profile holds of a table: counts in fixed bins, so that profiles add up and subtract exactly."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

from mlops_dagster.errors import DataNotFitError, StoreError

FORMAT = 1
CATEGORY_CAP = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class NumericProfile:
    """A column of numbers. Bin i holds `edges[i-1] < value <= edges[i]`; the two outer bins are open.

    With `steps` the edges are all the values that the reference had. `mean` and `sd` are of all rows,
    `core_mean` and `core_sd` with values outside the edges moved to the nearest one, so that a single
    row cannot stretch them. NaN and infinite values were made null.
    """

    nulls: int
    counts: tuple[int, ...]
    edges: tuple[float, ...] = ()
    steps: bool = False
    mean: float = 0.0
    sd: float = 0.0
    core_mean: float = 0.0
    core_sd: float = 0.0
    minimum: float | None = None
    maximum: float | None = None

    @property
    def rows(self) -> int:
        """How many rows have a value."""
        return sum(self.counts)


@dataclass(frozen=True, slots=True, kw_only=True)
class CategoryProfile:
    """A column of labels (also true and false). `other` counts the rows of labels that have no name here.

    A column that is not `comparable` is text: nearly every value is there once, or it is nested.
    """

    nulls: int
    counts: Mapping[str, int] = field(default_factory=dict)
    other: int = 0
    comparable: bool = True

    @property
    def rows(self) -> int:
        """How many rows have a value."""
        return sum(self.counts.values()) + self.other


ColumnProfile: TypeAlias = NumericProfile | CategoryProfile


@dataclass(frozen=True, slots=True, kw_only=True)
class TableProfile:
    """Every column of some rows; `windows` are the same rows cut by time, in order."""

    rows: int
    columns: Mapping[str, ColumnProfile]
    windows: tuple["TableProfile", ...] = ()


# --- ADDING AND TAKING AWAY ---


def merge(a: TableProfile, b: TableProfile) -> TableProfile:
    """Add up two profiles with the same edges: exactly what one profile of all the rows would count.

    Raises: DataNotFitError when the columns or their edges differ.
    """
    _same_columns(a, b)
    columns = {
        name: _combine(name, one, b.columns[name], sign=1) for name, one in a.columns.items()
    }
    return TableProfile(rows=a.rows + b.rows, columns=columns)


def subtract(a: TableProfile, b: TableProfile) -> TableProfile:
    """Take the rows of `b`, which are among those of `a`, out of `a`. Smallest and largest stay a's.

    Raises: DataNotFitError when the columns or their edges differ.
    """
    _same_columns(a, b)
    columns = {
        name: _combine(name, one, b.columns[name], sign=-1) for name, one in a.columns.items()
    }
    return TableProfile(rows=a.rows - b.rows, columns=columns)


def _same_columns(a: TableProfile, b: TableProfile) -> None:
    if set(a.columns) != set(b.columns):
        missing = sorted(set(a.columns) ^ set(b.columns))
        message = (
            f"profiles: only one of the two has {missing}. Profile both with the same columns."
        )
        raise DataNotFitError(message)


def _combine(name: str, a: ColumnProfile, b: ColumnProfile, *, sign: int) -> ColumnProfile:
    if isinstance(a, NumericProfile) and isinstance(b, NumericProfile) and a.edges == b.edges:
        return _combine_numbers(a, b, sign=sign)
    if isinstance(a, CategoryProfile) and isinstance(b, CategoryProfile):
        return _combine_categories(a, b, sign=sign)
    message = (
        f"profiles: column {name!r} was cut into other bins in the two profiles. "
        "Profile the second with edges_from=<the first>."
    )
    raise DataNotFitError(message)


def _combine_numbers(a: NumericProfile, b: NumericProfile, *, sign: int) -> NumericProfile:
    mean, sd = _pooled((a.rows, a.mean, a.sd), (sign * b.rows, b.mean, b.sd))
    core = _pooled((a.rows, a.core_mean, a.core_sd), (sign * b.rows, b.core_mean, b.core_sd))
    ends = (a, b) if sign > 0 else (a,)
    lows = [one.minimum for one in ends if one.minimum is not None]
    highs = [one.maximum for one in ends if one.maximum is not None]
    return replace(
        a,
        nulls=a.nulls + sign * b.nulls,
        counts=tuple(x + sign * y for x, y in zip(a.counts, b.counts, strict=True)),
        mean=mean,
        sd=sd,
        core_mean=core[0],
        core_sd=core[1],
        minimum=min(lows, default=None),
        maximum=max(highs, default=None),
    )


def _pooled(a: tuple[int, float, float], b: tuple[int, float, float]) -> tuple[float, float]:
    rows = a[0] + b[0]
    if rows <= 0:
        return 0.0, 0.0
    mean = (a[0] * a[1] + b[0] * b[1]) / rows
    squares = sum(n * (sd**2 + (m - mean) ** 2) for n, m, sd in (a, b))
    return mean, math.sqrt(max(squares / rows, 0.0))


def _combine_categories(a: CategoryProfile, b: CategoryProfile, *, sign: int) -> CategoryProfile:
    counts = dict(a.counts)
    other = a.other + sign * b.other
    for label, rows in b.counts.items():
        if sign < 0 and label not in counts:
            other -= rows  # a label that `a` did not name is among its others
        else:
            counts[label] = counts.get(label, 0) + sign * rows
    return CategoryProfile(
        nulls=a.nulls + sign * b.nulls,
        counts=dict(sorted(counts.items())),
        other=other,
        comparable=a.comparable and b.comparable,
    )


# --- JSON ---


def to_json(profile: TableProfile) -> dict[str, Any]:
    """Turn a profile into what `json` writes; the windows share the edges of the whole."""
    whole = _table_to_json(profile, with_edges=True)
    windows = [_table_to_json(window, with_edges=False) for window in profile.windows]
    return {"format": FORMAT, **whole, "windows": windows}


def from_json(stored: Mapping[str, Any]) -> TableProfile:
    """Read a profile back.

    Raises: StoreError when it was written by a later version of this package.
    """
    found = stored.get("format")
    if found != FORMAT:
        message = (
            f"profiles: the profile has format {found}, this version reads {FORMAT}. "
            "Upgrade mlops-dagster, or train again."
        )
        raise StoreError(message)
    whole = _table_from_json(stored, edges_of=None)
    windows = tuple(_table_from_json(window, edges_of=whole) for window in stored["windows"])
    return replace(whole, windows=windows)


def dumps(content: Mapping[str, Any]) -> str:
    """Write JSON whose bytes depend on the content only."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _table_to_json(profile: TableProfile, *, with_edges: bool) -> dict[str, Any]:
    columns = {
        name: _column_to_json(column, with_edges=with_edges)
        for name, column in profile.columns.items()
    }
    return {"rows": profile.rows, "columns": columns, "order": list(profile.columns)}


def _column_to_json(column: ColumnProfile, *, with_edges: bool) -> dict[str, Any]:
    kind: Literal["numeric", "category"]
    kind = "numeric" if isinstance(column, NumericProfile) else "category"
    stored = {name: getattr(column, name) for name in column.__dataclass_fields__}
    if not with_edges:
        stored.pop("edges", None)
    return {"kind": kind, **stored}


def _table_from_json(stored: Mapping[str, Any], *, edges_of: TableProfile | None) -> TableProfile:
    columns: dict[str, ColumnProfile] = {}
    for name in stored["order"]:
        whole = edges_of.columns[name] if edges_of else None
        columns[name] = _column_from_json(stored["columns"][name], whole)
    return TableProfile(rows=stored["rows"], columns=columns)


def _column_from_json(stored: Mapping[str, Any], whole: ColumnProfile | None) -> ColumnProfile:
    told = {name: value for name, value in stored.items() if name != "kind"}
    if stored["kind"] == "category":
        return CategoryProfile(**told)
    edges = whole.edges if isinstance(whole, NumericProfile) else told["edges"]
    return NumericProfile(**{**told, "edges": tuple(edges), "counts": tuple(told["counts"])})
