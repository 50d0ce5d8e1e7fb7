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
    """From where to read. `value` is None at the first read; `inclusive` reads ties again."""

    column: str
    value: CursorValue | None = None
    inclusive: bool = False


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
    """Write an instant the way that the source writes its own, so that both compare right.

    SQLite keeps times as text, in the style of whoever wrote them; `like` is one of the source's values.
    """
    if not isinstance(value, datetime):
        return value
    if isinstance(like, datetime):
        return value if like.tzinfo else value.astimezone(UTC).replace(tzinfo=None)
    if isinstance(like, date):
        return value.date()
    return _as_text(value, like) if isinstance(like, str) else value


def _as_text(value: datetime, like: str) -> str:
    moment = value.astimezone(UTC)
    if len(like) <= len("2013-01-01"):
        return moment.strftime("%Y-%m-%d")
    mark = like[10]
    fraction = f".{moment.microsecond:06d}" if moment.microsecond or "." in like else ""
    zone = next((end for end in ("Z", "+00:00", "+0000", "+00") if like.endswith(end)), "")
    return moment.strftime(f"%Y-%m-%d{mark}%H:%M:%S") + fraction + zone
