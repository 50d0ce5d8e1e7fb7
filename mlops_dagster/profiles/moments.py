"""Which times of rows can be: none of a sentinel such as 9999-12-31, and few still to come. Pure."""

from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc

# What nanoseconds since 1970 reach, in whole days.
EARLIEST = datetime(1677, 9, 22, tzinfo=UTC)
LATEST = datetime(2262, 4, 11, tzinfo=UTC)
# More rows than this share are no mistakes: the clock may stand behind the data.
_MISTAKES = 0.05
_MICROSECONDS = pa.timestamp("us")


def possible(times: pa.ChunkedArray | pa.Array, *, now: datetime) -> pa.ChunkedArray | pa.Array:
    """Give times in microseconds, null where they are of no year between 1677 and 2262.

    A few that are later than `now` are null too.
    """
    stamps = pc.cast(times, _MICROSECONDS, safe=False)
    inside = pc.and_(
        pc.greater_equal(stamps, _plain(EARLIEST)), pc.less_equal(stamps, _plain(LATEST))
    )
    kept = pc.if_else(inside, stamps, pa.scalar(None, _MICROSECONDS))
    ahead = pc.greater(kept, _plain(now))
    if (pc.mean(ahead).as_py() or 0.0) <= _MISTAKES:
        kept = pc.if_else(ahead, pa.scalar(None, _MICROSECONDS), kept)
    return kept


def can_be(moment: datetime) -> bool:
    """Tell whether a time is of a year between 1677 and 2262."""
    return EARLIEST <= moment <= LATEST


def told_left_out(count: int) -> str:
    """Say that rows are in no window, and why."""
    if not count:
        return ""
    rows, are = ("row has", "is") if count == 1 else ("rows have", "are")
    return f"{count:,} {rows} no time, or one after now or before 1677, and {are} in no window."


def _plain(moment: datetime) -> pa.Scalar:
    return pa.scalar(moment.astimezone(UTC).replace(tzinfo=None), _MICROSECONDS)
