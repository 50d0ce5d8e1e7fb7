"""Profiles a table: one pass over a sample for the edges, one over all rows for the counts."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeAlias

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads
import pyarrow.types as kinds

from mlops_dagster.profiles.columns import (
    CATEGORY_CAP,
    CategoryProfile,
    ColumnProfile,
    NumericProfile,
    TableProfile,
)

Rows: TypeAlias = pa.Table | pads.Dataset | pa.RecordBatchReader

# 64 even quantiles, and tail edges that halve eight times: without them a heavy tail's distance is
# off by most of a standard deviation.
QUANTILES = sorted(
    {i / 64 for i in range(1, 64)}
    | {2.0**-i / 64 for i in range(1, 9)}
    | {1 - 2.0**-i / 64 for i in range(1, 9)}
)
MOST_STEPS = 80
SAMPLE = 100_000
LARGEST = 1e100
_DIGITS = 12


def profile_of(
    rows: Rows,
    *,
    columns: Sequence[str] | None = None,
    edges_from: TableProfile | None = None,
) -> TableProfile:
    """Profile the columns of some rows.

    With `edges_from` rows are counted in another profile's bins, for the columns that both have, in
    one pass. A dataset is streamed; a reader is loaded, since it can be read once only.
    """
    with _Passes(rows, columns, edges_from) as passes:
        [(_, profile)] = passes.count(None)
        return profile


def profile_windows(
    rows: pa.Table, *, window_of: pa.Array | pa.ChunkedArray, edges_from: TableProfile
) -> dict[int, TableProfile]:
    """Profile the rows of each window in one pass; `window_of` numbers them, null is left out."""
    marked = rows.append_column(_WINDOW, window_of)
    with _Passes(marked, list(rows.column_names), edges_from) as passes:
        return {window: one for window, one in passes.count(_WINDOW) if window is not None}


_WINDOW = "_profile_window"


class _Passes:
    """One table in DuckDB, its columns cleaned and renamed c0, c1, ..."""

    def __init__(
        self, rows: Rows, columns: Sequence[str] | None, edges_from: TableProfile | None
    ) -> None:
        source = rows.read_all() if isinstance(rows, pa.RecordBatchReader) else rows
        known = edges_from.columns if edges_from else dict.fromkeys(source.schema.names)
        self._names = [name for name in (columns or known) if name in source.schema.names]
        self._names = [name for name in self._names if name in known]
        self._schema = source.schema
        self._source = source
        self._reference = edges_from
        self._connection = duckdb.connect()

    def __enter__(self) -> Self:
        self._connection.register("source", self._source)
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def count(self, group: str | None) -> Iterator[tuple[int | None, TableProfile]]:
        """Count every column, for all rows together or for each value of `group`."""
        bins = self._bins()
        parts = ["count(*)", *(_counted(i, bins[name]) for i, name in enumerate(self._names))]
        first = f'"{group}"' if group else "NULL"
        tail = f'GROUP BY "{group}" ORDER BY 1' if group else ""
        query = f"SELECT {first}, {', '.join(parts)} FROM {self._cleaned(bins, group)} {tail}"
        for window, total, *found in self._connection.execute(query).fetchall():
            columns = {
                name: _column(bins[name], cells, total)
                for name, cells in zip(self._names, found, strict=True)
            }
            yield window, TableProfile(rows=total, columns=columns)

    def _bins(self) -> Mapping[str, ColumnProfile]:
        """Say for each column how it is counted: an empty profile with edges, or with labels."""
        if self._reference is not None:
            return self._reference.columns
        empty = {name: _empty(self._schema.field(name).type) for name in self._names}
        # In order, so that the sample is of the same rows each time.
        return self._look(empty)

    def _look(self, empty: Mapping[str, ColumnProfile]) -> dict[str, ColumnProfile]:
        if not self._names:
            return dict(empty)
        total = self._connection.execute("SELECT count(*) FROM source").fetchall()[0][0]
        step = max(total // SAMPLE, 1)
        cleaned = self._cleaned(empty, None)
        numbered = f"(SELECT *, row_number() OVER () AS r FROM {cleaned}) WHERE r % {step} = 0"
        columns = ", ".join(f"c{i}" for i in range(len(self._names)))
        query = f"SELECT {columns} FROM {numbered if step > 1 else cleaned}"
        sample = self._connection.sql(query).to_arrow_table()
        seen = [
            _sketched(sample[f"c{i}"].drop_null(), empty[name])
            for i, name in enumerate(self._names)
        ]
        few = [
            i
            for i, one in enumerate(seen)
            if one.edges is not None and one.distinct <= MOST_STEPS * 1.5
        ]
        values = self._distinct(empty, few)
        sampled = max(total // step, 1)
        return {
            name: _cut(empty[name], seen[i], values.get(i), sampled)
            for i, name in enumerate(self._names)
        }

    def _distinct(
        self, empty: Mapping[str, ColumnProfile], places: Sequence[int]
    ) -> dict[int, list[float]]:
        if not places:
            return {}
        lists = ", ".join(f"list(DISTINCT c{i})" for i in places)
        query = f"SELECT {lists} FROM {self._cleaned(empty, None)}"
        found = self._connection.execute(query).fetchall()[0]
        return {
            i: sorted(value for value in (values or []) if value is not None)
            for i, values in zip(places, found, strict=True)
        }

    def _cleaned(self, bins: Mapping[str, ColumnProfile], group: str | None) -> str:
        columns = [
            f"{_expression(name, self._schema.field(name).type, bins[name])} AS c{i}"
            for i, name in enumerate(self._names)
        ]
        chosen = columns + ([f'"{group}"'] if group else [])
        return f"(SELECT {', '.join(chosen) or '1'} FROM source)"


# --- WHAT IS ASKED OF DUCKDB ---


def _empty(kind: pa.DataType) -> ColumnProfile:
    if kinds.is_boolean(kind) or kinds.is_null(kind):
        return CategoryProfile(nulls=0)
    if kinds.is_integer(kind) or kinds.is_floating(kind) or kinds.is_decimal(kind):
        return NumericProfile(nulls=0, counts=())
    if kinds.is_temporal(kind) and not kinds.is_interval(kind):
        return NumericProfile(nulls=0, counts=())
    return CategoryProfile(nulls=0, comparable=not kinds.is_nested(kind))


def _expression(name: str, kind: pa.DataType, bins: ColumnProfile) -> str:
    quoted = '"' + name.replace('"', '""') + '"'
    if isinstance(bins, CategoryProfile):
        return f"CASE WHEN {quoted} IS NOT NULL THEN CAST({quoted} AS VARCHAR) END"
    number = f"epoch({quoted})" if kinds.is_temporal(kind) else f"TRY_CAST({quoted} AS DOUBLE)"
    bounded = f"greatest(least({number}, {LARGEST}), -{LARGEST})"
    return f"CASE WHEN isfinite({number}) THEN CAST({bounded} AS DOUBLE) END"


def _counted(place: int, bins: ColumnProfile) -> str:
    column = f"c{place}"
    asked = {"rows": f"count({column})"}
    if isinstance(bins, CategoryProfile):
        return _struct(asked | ({"labels": f"histogram({column})"} if bins.comparable else {}))
    edges = ", ".join([*map(_literal, bins.edges), "'inf'::DOUBLE"])
    core = column
    if bins.edges:
        low, high = _literal(bins.edges[0]), _literal(bins.edges[-1])
        core = f"CASE WHEN {column} < {low} THEN {low} WHEN {column} > {high} THEN {high} ELSE {column} END"
    asked |= {
        "bins": f"histogram({column}, [{edges}])",
        "mean": f"avg({column})",
        "sd": f"stddev_pop({column})",
        "core_mean": f"avg({core})",
        "core_sd": f"stddev_pop({core})",
        "minimum": f"min({column})",
        "maximum": f"max({column})",
    }
    return _struct(asked)


def _struct(asked: Mapping[str, str]) -> str:
    return "{" + ", ".join(f"'{name}': {value}" for name, value in asked.items()) + "}"


def _literal(number: float) -> str:
    """Write a number so that DuckDB reads a DOUBLE: without an exponent it would be a DECIMAL."""
    return f"{number:.17e}"


# --- WHAT DUCKDB ANSWERED ---


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sketch:
    """What a sample of a column holds, without nulls. `edges` are the quantiles of numbers."""

    distinct: int
    edges: tuple[float, ...] | None = None
    lowest: float = 0.0


def _sketched(values: pa.ChunkedArray, empty: ColumnProfile) -> _Sketch:
    if not isinstance(empty, NumericProfile):
        return _Sketch(distinct=pc.count_distinct(values).as_py())
    if not len(values):
        return _Sketch(distinct=0, edges=())
    numbers = np.sort(values.to_numpy())
    # Of sorted numbers a quantile is the one at its place: no interpolated value that nobody had.
    places = np.ceil(np.array(QUANTILES) * len(numbers)).astype(int) - 1
    return _Sketch(
        distinct=1 + int(np.count_nonzero(np.diff(numbers))),
        edges=tuple(numbers[np.maximum(places, 0)].tolist()),
        lowest=float(numbers[0]),
    )


def _cut(
    empty: ColumnProfile, seen: _Sketch, values: list[float] | None, sampled: int
) -> ColumnProfile:
    if isinstance(empty, CategoryProfile):
        text = seen.distinct > max(CATEGORY_CAP, sampled / 2)
        return CategoryProfile(nulls=0, comparable=empty.comparable and not text)
    steps = values is not None and len(values) <= MOST_STEPS
    found = values if steps else _steady(seen.edges or (), sampled)
    edges = np.unique(np.asarray(found, dtype=np.float64))
    if len(edges) and (steps or edges[0] <= seen.lowest):
        # The smallest value gets a bin of its own, so that anything below it is seen as new.
        below = edges[0] - max(abs(edges[0]), 1.0) * 1e-9
        edges = np.concatenate([[below], edges])
    return NumericProfile(nulls=0, counts=(), edges=tuple(edges.tolist()), steps=steps)


def _steady(edges: Sequence[float], sampled: int) -> list[float]:
    """Keep the quantiles with at least five rows beyond them: no few rows may stretch the edges."""
    return [
        edge
        for edge, level in zip(edges, QUANTILES, strict=False)
        if min(level, 1 - level) * sampled >= 5
    ]


def _column(bins: ColumnProfile, cells: Mapping[str, Any], total: int) -> ColumnProfile:
    nulls = total - cells["rows"]
    if isinstance(bins, CategoryProfile):
        return _labels(bins, cells.get("labels") or {}, nulls=nulls, rows=cells["rows"])
    counts = cells["bins"] or {}
    tops = (*bins.edges, float("inf"))
    return NumericProfile(
        nulls=nulls,
        counts=tuple(int(counts.get(top, 0)) for top in tops),
        edges=bins.edges,
        steps=bins.steps,
        mean=_rounded(cells["mean"], cells["sd"]),
        sd=_rounded(cells["sd"], cells["sd"]),
        core_mean=_rounded(cells["core_mean"], cells["core_sd"]),
        core_sd=_rounded(cells["core_sd"], cells["core_sd"]),
        minimum=cells["minimum"],
        maximum=cells["maximum"],
    )


def _labels(
    bins: CategoryProfile, found: Mapping[str, int], *, nulls: int, rows: int
) -> CategoryProfile:
    known = {label: found[label] for label in bins.counts if label in found}
    fresh = _largest({label: n for label, n in found.items() if label not in known}.items())
    counts = dict(sorted((known | fresh).items()))
    return CategoryProfile(
        nulls=nulls,
        counts=counts,
        other=rows - sum(counts.values()),
        comparable=bins.comparable,
    )


def _largest(counted: Iterable[tuple[str, int]]) -> dict[str, int]:
    return dict(sorted(counted, key=lambda pair: (-pair[1], pair[0]))[:CATEGORY_CAP])


def _rounded(number: float | None, spread: float | None) -> float:
    """Drop the digits that depend on the order in which rows were added up."""
    if not number:
        return 0.0
    size = max(abs(number), spread or 0.0)
    return round(number, _DIGITS - 1 - math.floor(math.log10(size)))
