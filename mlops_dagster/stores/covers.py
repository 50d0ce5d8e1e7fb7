"""Conditions that cover a set of rows: what a commit has to rewrite to change them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads

_LISTED_AT_MOST = 200
"""Values in one list: the condition is kept as text in the table's log."""


@dataclass(frozen=True, slots=True)
class Cover:
    """One condition, as Arrow filters by it and as SQL."""

    expression: pc.Expression
    sql: str

    def __or__(self, other: "Cover") -> "Cover":
        return Cover(self.expression | other.expression, f"({self.sql}) OR ({other.sql})")

    def __and__(self, other: "Cover") -> "Cover":
        return Cover(self.expression & other.expression, f"({self.sql}) AND ({other.sql})")


def smallest_cover(stored: pads.Dataset, part: pa.Table, columns: Sequence[str]) -> Cover | None:
    """Choose the condition that is true of all of `part` and of the fewest rows of the table.

    None when no column can tell the rows apart.
    """
    usable = [one for one in columns if one in stored.schema.names and one in part.column_names]
    covers = [cover for one in usable if (cover := cover_by(one, part.column(one))) is not None]
    return min(covers, key=lambda cover: stored.count_rows(filter=cover.expression), default=None)


def cover_by(name: str, values: pa.ChunkedArray) -> Cover | None:
    """Cover rows by one column: its values when they are few, else their range."""
    if (write := _writer(values.type)) is None:
        return None
    present = pc.unique(values.drop_null())
    column, quoted = pads.field(name), quoted_name(name)
    if len(present) == 0:
        return Cover(column.is_null(), f"{quoted} IS NULL")
    if len(present) <= _LISTED_AT_MOST:
        listed = ", ".join(write(value) for value in present)
        cover = Cover(column.isin(present), f"{quoted} IN ({listed})")
    else:
        ends = pc.min_max(present)
        low, high = ends["min"], ends["max"]
        between = f"{quoted} BETWEEN {write(low)} AND {write(high)}"
        cover = Cover((column >= low) & (column <= high), between)
    if values.null_count:
        return cover | Cover(column.is_null(), f"{quoted} IS NULL")
    return cover


def quoted_name(column: str) -> str:
    """Write a column's name in SQL."""
    return '"' + column.replace('"', '""') + '"'


def _writer(kind: pa.DataType) -> Callable[[pa.Scalar], str] | None:
    """Find how a type's values are written in SQL; None when it does not order rows exactly."""
    if pa.types.is_integer(kind):
        return str
    if pa.types.is_string(kind):
        return _text
    if pa.types.is_date(kind):
        return lambda value: f"CAST('{value.as_py():%Y-%m-%d}' AS DATE)"
    if pa.types.is_timestamp(kind):
        return lambda value: f"arrow_cast({_ticks(value)}, '{_sql_type(kind)}')"
    return None


def _text(value: pa.Scalar) -> str:
    return "'" + str(value.as_py()).replace("'", "''") + "'"


def _ticks(value: pa.Scalar) -> int:
    ticks: int = value.cast(pa.int64()).as_py()
    return ticks


def _sql_type(kind: pa.TimestampType) -> str:
    zone = 'Some("UTC")' if kind.tz else "None"
    return f"Timestamp(Microsecond, {zone})"
