"""The high-water mark of a source: how it is kept as text, and from where the next read starts."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from mlops_dagster.errors import DataNotFitError

CursorValue: TypeAlias = datetime | date | int | float | str | Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Since:
    """From where to read, ties included. `value` is None at the first read."""

    column: str
    value: CursorValue | None = None


def write_mark(value: CursorValue) -> str:
    """Write a mark as text."""
    return value.isoformat() if isinstance(value, date) else str(value)


def read_mark(text: str, kind: pa.DataType) -> CursorValue:
    """Read a mark back as a value of the column's type."""
    if pa.types.is_timestamp(kind):
        return datetime.fromisoformat(text)
    if pa.types.is_date(kind):
        return date.fromisoformat(text)
    if pa.types.is_integer(kind):
        return int(text)
    if pa.types.is_floating(kind):
        return float(text)
    return Decimal(text) if pa.types.is_decimal(kind) else text


def highest(rows: pa.Table, column: str) -> CursorValue | None:
    """Find the largest value of a column."""
    value: CursorValue | None = pc.max(rows[column]).as_py()
    return value.astimezone(UTC) if isinstance(value, datetime) else value


def start(
    mark: CursorValue | None, lookback: timedelta | None, *, where: str
) -> CursorValue | None:
    """Go back from the mark, to read late and corrected rows again."""
    if mark is None or not lookback:
        return mark
    if not isinstance(mark, datetime):
        message = (
            f"{where}: lookback needs a time as cursor, and the cursor is {type(mark).__name__} "
            f"({mark!r}). Declare a column of times as cursor, or leave lookback out."
        )
        raise DataNotFitError(message)
    return mark - lookback


def as_written(value: CursorValue, like: object) -> CursorValue:
    """Write an instant as a database compares it with its own values, of which `like` is one.

    Where times are text (SQLite), in whatever style and zone, they are compared by their date, from a
    day before: no zone is further from UTC. That reads rows again, and misses none.
    """
    if not isinstance(value, datetime):
        return value
    if isinstance(like, datetime):
        return value if like.tzinfo else value.astimezone(UTC).replace(tzinfo=None)
    if isinstance(like, date):
        return value.date()
    if isinstance(like, str):
        return (value.astimezone(UTC) - timedelta(days=1)).strftime("%Y-%m-%d")
    return value
