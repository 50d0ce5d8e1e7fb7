"""Profiles a table: one pass over a sample for the edges, one over all rows for the counts."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Self

import duckdb
import pyarrow as pa
import pyarrow.types as kinds

from mlops_dagster.duck import connect
from mlops_dagster.profiles.columns import (
    CATEGORY_CAP,
    CategoryProfile,
    ColumnProfile,
    NumericProfile,
    TableProfile,
)
from mlops_dagster.profiles.edges import cut, sketched
from mlops_dagster.profiles.row_source import Rows, RowSource

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
        self._rows = RowSource(rows)
        self._schema = self._rows.schema
        known = edges_from.columns if edges_from else dict.fromkeys(self._schema.names)
        self._names = [name for name in (columns or known) if name in self._schema.names]
        self._names = [name for name in self._names if name in known]
        self._reference = edges_from
        # What a large table took is given back only when its database is closed.
        self._connection = connect() if isinstance(rows, pa.Table) else duckdb.connect()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def count(self, group: str | None) -> Iterator[tuple[int | None, TableProfile]]:
        """Count every column, for all rows together or for each value of `group`."""
        bins = self._bins()
        labels = [isinstance(bins[name], CategoryProfile) for name in self._names]
        # Apart: a query for both takes 3.6 GB for 10 million rows of 30 columns, each of the two 0.7.
        sides = [[i for i, one in enumerate(labels) if one is side] for side in set(labels)]
        found: dict[int | None, tuple[int, dict[int, Any]]] = {}
        for places in sides or [[]]:
            for window, total, cells in self._count(places, bins, group):
                found.setdefault(window, (total, {}))[1].update(cells)
        for window, (total, cells) in found.items():
            columns = {
                name: _column(bins[name], cells[i], total) for i, name in enumerate(self._names)
            }
            yield window, TableProfile(rows=total, columns=columns)

    def _count(
        self, places: Sequence[int], bins: Mapping[str, ColumnProfile], group: str | None
    ) -> Iterator[tuple[int | None, int, dict[int, Any]]]:
        """Count some columns in one pass: the number of rows of each group, and each column's cells."""
        parts = ["count(*)", *(_counted(i, bins[self._names[i]]) for i in places)]
        first = f'"{group}"' if group else "NULL"
        tail = f'GROUP BY "{group}" ORDER BY 1' if group else ""
        source = self._cleaned(bins, group, places=places)
        query = f"SELECT {first}, {', '.join(parts)} FROM {source} {tail}"
        wanted = [*(self._names[i] for i in places), *([group] if group else [])]
        for window, total, *cells in self._ask(query, wanted):
            yield window, total, dict(zip(places, cells, strict=True))

    def _bins(self) -> Mapping[str, ColumnProfile]:
        """Say for each column how it is counted: an empty profile with edges, or with labels."""
        if self._reference is not None:
            return self._reference.columns
        empty = {name: _empty(self._schema.field(name).type) for name in self._names}
        return self._look(empty) if self._names else dict(empty)

    def _look(self, empty: Mapping[str, ColumnProfile]) -> dict[str, ColumnProfile]:
        sample = self._rows.sample(self._names, SAMPLE)
        self._connection.register("sample", sample)
        query = f"SELECT * FROM {self._cleaned(empty, None, of='sample')}"
        cleaned = self._connection.sql(query).to_arrow_table()
        seen = [
            sketched(cleaned[f"c{i}"].drop_null(), empty[name])
            for i, name in enumerate(self._names)
        ]
        few = [i for i, one in enumerate(seen) if one.has_few_values]
        values = self._distinct(empty, few)
        return {
            name: cut(empty[name], seen[i], values.get(i), sample.num_rows)
            for i, name in enumerate(self._names)
        }

    def _distinct(
        self, empty: Mapping[str, ColumnProfile], places: Sequence[int]
    ) -> dict[int, list[float]]:
        if not places:
            return {}
        lists = ", ".join(f"list(DISTINCT c{i})" for i in places)
        names = [self._names[i] for i in places]
        found = self._ask(f"SELECT {lists} FROM {self._cleaned(empty, None)}", names)[0]
        return {
            i: sorted(value for value in (values or []) if value is not None)
            for i, values in zip(places, found, strict=True)
        }

    def _ask(self, query: str, columns: Sequence[str]) -> list[tuple[Any, ...]]:
        """Read the rows once."""
        self._connection.register("source", self._rows.stream(columns))
        return self._connection.execute(query).fetchall()

    def _cleaned(
        self,
        bins: Mapping[str, ColumnProfile],
        group: str | None,
        *,
        of: str = "source",
        places: Sequence[int] | None = None,
    ) -> str:
        columns = [
            f"{_expression(name, self._schema.field(name).type, bins[name])} AS c{i}"
            for i, name in enumerate(self._names)
            if places is None or i in places
        ]
        chosen = columns + ([f'"{group}"'] if group else [])
        return f"(SELECT {', '.join(chosen) or '1'} FROM {of})"


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
        text = kinds.is_string(kind) or kinds.is_large_string(kind)
        return (
            quoted if text else f"CASE WHEN {quoted} IS NOT NULL THEN CAST({quoted} AS VARCHAR) END"
        )
    number = quoted
    if kinds.is_temporal(kind):
        number = f"epoch({quoted})"
    elif not kinds.is_float64(kind):
        number = f"TRY_CAST({quoted} AS DOUBLE)"
    # NaN is larger than everything to DuckDB; most values need one comparison only.
    beyond = f"WHEN isfinite({number}) THEN sign({number}) * {LARGEST}"
    return f"CASE WHEN abs({number}) <= {LARGEST} THEN {number} {beyond} END"


def _counted(place: int, bins: ColumnProfile) -> str:
    column = f"c{place}"
    asked = {"rows": f"count({column})"}
    if isinstance(bins, CategoryProfile):
        return _struct(asked | ({"labels": f"histogram({column})"} if bins.comparable else {}))
    edges = ", ".join([*map(_literal, bins.edges), "'inf'::DOUBLE"])
    moved = f"({column} - {_literal(_middle(bins))})"
    core = moved
    if bins.edges:
        low, high = (_literal(edge - _middle(bins)) for edge in (bins.edges[0], bins.edges[-1]))
        core = f"greatest(least({moved}, {high}), {low})"
    asked |= {
        "bins": f"histogram({column}, [{edges}])",
        "sum": f"sum({moved})",
        "squares": f"sum({moved} * {moved})",
        "core_sum": f"sum({core})",
        "core_squares": f"sum({core} * {core})",
        "minimum": f"min({column})",
        "maximum": f"max({column})",
    }
    return _struct(asked)


def _middle(bins: NumericProfile) -> float:
    """A value amid the column's own: sums of distances from it lose no digits."""
    return bins.edges[len(bins.edges) // 2] if bins.edges else 0.0


def _moments(
    sums: tuple[float | None, float | None], rows: int, middle: float
) -> tuple[float, float]:
    """Turn sums of distances from the middle, and of their squares, into mean and deviation."""
    total, squares = (one or 0.0 for one in sums)
    if not rows:
        return 0.0, 0.0
    moved, mean_square = total / rows, squares / rows
    variance = mean_square - moved**2
    # Less than this is what is left of two equal doubles.
    sd = math.sqrt(variance) if variance > 1e-13 * mean_square else 0.0
    return _rounded(middle + moved, sd), _rounded(sd, sd)


def _struct(asked: Mapping[str, str]) -> str:
    return "{" + ", ".join(f"'{name}': {value}" for name, value in asked.items()) + "}"


def _literal(number: float) -> str:
    """Write a number so that DuckDB reads a DOUBLE: without an exponent it would be a DECIMAL."""
    return f"{number:.17e}"


# --- WHAT DUCKDB ANSWERED ---


def _column(bins: ColumnProfile, cells: Mapping[str, Any], total: int) -> ColumnProfile:
    nulls = total - cells["rows"]
    if isinstance(bins, CategoryProfile):
        return _labels(bins, cells.get("labels") or {}, nulls=nulls, rows=cells["rows"])
    counts = cells["bins"] or {}
    tops = (*bins.edges, float("inf"))
    middle = _middle(bins)
    mean, sd = _moments((cells["sum"], cells["squares"]), cells["rows"], middle)
    core = (cells["core_sum"], cells["core_squares"])
    core_mean, core_sd = _moments(core, cells["rows"], middle)
    return NumericProfile(
        nulls=nulls,
        counts=tuple(int(counts.get(top, 0)) for top in tops),
        edges=bins.edges,
        steps=bins.steps,
        mean=mean,
        sd=sd,
        core_mean=core_mean,
        core_sd=core_sd,
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


def _rounded(number: float, spread: float) -> float:
    """Drop the digits that depend on the order in which rows were added up."""
    if not number:
        return 0.0
    size = max(abs(number), spread)
    return round(number, _DIGITS - 1 - math.floor(math.log10(size)))
