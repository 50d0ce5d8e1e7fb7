"""What of a column can be compared where its own values cannot: nearly every one is there once.

Text becomes its length and one of its words, drawn and named by hash, so that each row counts once.
A time becomes its hour and weekday: that time goes by is no drift.
"""

import re
import zlib

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as kinds

from mlops_dagster.profiles.columns import CATEGORY_CAP, TableProfile

LENGTH, WORD, HOUR, WEEKDAY = ": length", ": word", ": hour", ": weekday"
SUFFIXES = (LENGTH, WORD, HOUR, WEEKDAY)
WORDS = 64
_DAYS = pa.array(["1 Mon", "2 Tue", "3 Wed", "4 Thu", "5 Fri", "6 Sat", "7 Sun"])
_WORD = re.compile(r"\w+")


def with_derived(table: pa.Table, *, like: TableProfile | None = None) -> pa.Table:
    """Add what is derived of text, and put hour and weekday in place of times.

    With `like`, the reference's profile, exactly what it has is derived.
    """
    columns: dict[str, pa.ChunkedArray] = {}
    for name in table.column_names:
        column = table[name]
        derived = {}
        if _is_time(column.type) and (like is None or name not in like.columns):
            derived = _of_time(name, column)
        elif _is_string(column.type):
            columns[name] = column
            text = _is_text(column) if like is None else name + LENGTH in like.columns
            derived = _of_text(name, column) if text else {}
        else:
            columns[name] = column
        columns |= derived
    return pa.table(columns)


def base_of(name: str) -> str:
    """Name the column that something was derived of."""
    for suffix in SUFFIXES:
        name = name.removesuffix(suffix)
    return name


def tells_nulls(name: str) -> bool:
    """Tell whether a column's nulls are its own: one of those derived of a column is enough."""
    return not name.endswith((LENGTH, WORD, HOUR))


def _of_text(name: str, column: pa.ChunkedArray) -> dict[str, pa.ChunkedArray]:
    words = [_word(text) for text in column.to_pylist()]
    return {
        name + LENGTH: pc.utf8_length(column),
        name + WORD: pa.chunked_array([pa.array(words, pa.string())]),
    }


def _of_time(name: str, column: pa.ChunkedArray) -> dict[str, pa.ChunkedArray]:
    weekday = pc.take(_DAYS, pc.cast(pc.day_of_week(column), pa.int64()))
    if kinds.is_date(column.type):
        return {name + WEEKDAY: weekday}
    hour = pc.utf8_lpad(pc.cast(pc.hour(column), pa.string()), width=2, padding="0")
    return {name + HOUR: hour, name + WEEKDAY: weekday}


def _is_time(kind: pa.DataType) -> bool:
    return bool(kinds.is_timestamp(kind) or kinds.is_date(kind))


def _is_string(kind: pa.DataType) -> bool:
    return bool(kinds.is_string(kind) or kinds.is_large_string(kind))


def _is_text(column: pa.ChunkedArray) -> bool:
    distinct = pc.count_distinct(column).as_py()
    return bool(distinct > max(CATEGORY_CAP, (len(column) - column.null_count) / 2))


def _word(text: str | None) -> str | None:
    """Draw one word of a text, each as likely as the other and the same each time; name it by hash."""
    if text is None:
        return None
    words = [word.encode() for word in _WORD.findall(text.lower())]
    if not words:
        return "none"
    start = zlib.crc32(text.encode())
    drawn = min(words, key=lambda word: zlib.crc32(word, start))
    return f"{zlib.crc32(drawn) % WORDS:02d}"
