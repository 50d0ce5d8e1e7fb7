"""What of a column can be compared where its own values cannot: nearly every one is there once.

Text becomes its length and one of its words, chosen and named by hash, so that each row counts once.
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
        derived = _derived(name, column)
        wanted = derived if like is None else {k: v for k, v in derived.items() if k in like.columns}
        if not (wanted and _is_time(column.type)):
            columns[name] = column
        columns |= wanted
    return pa.table(columns)


def base_of(name: str) -> str:
    """Name the column that something was derived of."""
    for suffix in SUFFIXES:
        name = name.removesuffix(suffix)
    return name


def tells_nulls(name: str) -> bool:
    """Tell whether a column's nulls are its own: one of those derived of a column is enough."""
    return not name.endswith((LENGTH, WORD, WEEKDAY))


def _derived(name: str, column: pa.ChunkedArray) -> dict[str, pa.ChunkedArray]:
    if _is_time(column.type):
        return _of_time(name, column)
    if (kinds.is_string(column.type) or kinds.is_large_string(column.type)) and _is_text(column):
        return {name + LENGTH: pc.utf8_length(column), name + WORD: _words(column)}
    return {}


def _of_time(name: str, column: pa.ChunkedArray) -> dict[str, pa.ChunkedArray]:
    weekday = _DAYS.take(pc.cast(pc.day_of_week(column), pa.int64()).combine_chunks())
    if kinds.is_date(column.type):
        return {name + HOUR: pc.cast(pc.if_else(pc.is_valid(column), "00", None), pa.string()),
                name + WEEKDAY: pa.chunked_array([weekday])}  # fmt: skip
    hour = pc.utf8_lpad(pc.cast(pc.hour(column), pa.string()), width=2, padding="0")
    return {name + HOUR: hour, name + WEEKDAY: pa.chunked_array([weekday])}


def _is_time(kind: pa.DataType) -> bool:
    return bool(kinds.is_timestamp(kind) or kinds.is_date(kind))


def _is_text(column: pa.ChunkedArray) -> bool:
    distinct = pc.count_distinct(column).as_py()
    return bool(distinct > max(CATEGORY_CAP, (len(column) - column.null_count) / 2))


def _words(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Choose the word with the smallest hash: among equal texts the same, in any a fair draw."""
    return pa.chunked_array([[_word(text) for text in column.to_pylist()]], pa.string())


def _word(text: str | None) -> str | None:
    if text is None:
        return None
    hashes = [zlib.crc32(word.encode()) for word in _WORD.findall(text.lower())]
    return f"{min(hashes) % WORDS:02d}" if hashes else "none"
