"""Fitting rows to a stored schema: what may be cast without loss, and what is refused."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mlops_dagster.errors import DataNotFitError

_WIDER = {
    pa.uint8(): pa.int16(),
    pa.uint16(): pa.int32(),
    pa.uint32(): pa.int64(),
    pa.uint64(): pa.int64(),
    pa.float16(): pa.float32(),
    pa.date64(): pa.date32(),
    pa.null(): pa.string(),
}


def storable_type(kind: pa.DataType) -> pa.DataType:
    """Choose the type that a table keeps for a column: microseconds, signed integers, plain strings."""
    if kind in _WIDER:
        return _WIDER[kind]
    if pa.types.is_dictionary(kind):
        return storable_type(kind.value_type)
    if isinstance(kind, pa.BaseExtensionType):
        return storable_type(kind.storage_type)
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", "UTC" if kind.tz else None)
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind) or pa.types.is_time(kind):
        return pa.string()
    return _storable_bytes_or_nested(kind)


def _storable_bytes_or_nested(kind: pa.DataType) -> pa.DataType:
    if (
        pa.types.is_large_binary(kind)
        or pa.types.is_binary_view(kind)
        or pa.types.is_fixed_size_binary(kind)
    ):
        return pa.binary()
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(one.name, storable_type(one.type)) for one in kind])
    if pa.types.is_map(kind):
        return pa.map_(storable_type(kind.key_type), storable_type(kind.item_type))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return pa.list_(pa.field("element", storable_type(kind.value_type)))
    return kind


def storable(table: str, rows: pa.Table, *, hints: Mapping[str, pa.DataType]) -> pa.Table:
    """Cast rows to types that a table can keep. A column of nulls alone takes its type from `hints`.

    Raises: DataNotFitError for doubled names, no columns, or a type that cannot be kept.
    """
    rows = without_index(rows)
    doubled = [name for name, count in Counter(rows.column_names).items() if count > 1]
    if doubled or not rows.column_names:
        what = f"the columns {doubled} come twice" if doubled else "there are no columns"
        message = f"{table}: {what}. Give every column one name; nothing was written."
        raise DataNotFitError(message)
    columns = [
        _storable_column(table, field, rows.column(field.name), hints=hints)
        for field in rows.schema
    ]
    return pa.table(columns, names=rows.column_names)


def _storable_column(
    table: str, field: pa.Field, column: pa.ChunkedArray, *, hints: Mapping[str, pa.DataType]
) -> pa.ChunkedArray:
    if pa.types.is_duration(field.type) or pa.types.is_interval(field.type):
        message = (
            f"{table}: column {field.name!r} is a length of time ({field.type}), which a table cannot "
            "keep. Turn it into a number (seconds, minutes) at the source; nothing was written."
        )
        raise DataNotFitError(message)
    target = storable_type(field.type)
    if pa.types.is_null(field.type):
        target = hints.get(field.name, target)
    return cast_column(table, field.name, column, target)


def without_index(rows: pa.Table) -> pa.Table:
    """Drop what pandas keeps as its unnamed row index, and its metadata."""
    index = [name for name in rows.column_names if name.startswith("__index_level_")]
    return rows.drop_columns(index).replace_schema_metadata(None)


def fitted(table: str, rows: pa.Table, stored: pa.Schema, *, widening: bool = False) -> pa.Table:
    """Fit rows to a stored schema: cast without loss, absent columns null, new columns at the end.

    `widening`: doubles that are no whole numbers stay doubles where whole numbers are stored.
    Raises: DataNotFitError naming the column when its type changed.
    """
    hints = {field.name: field.type for field in stored}
    rows = storable(table, rows, hints=hints) if rows.column_names else stored.empty_table()
    if rows.num_rows == 0:
        # The types of an empty frame are a guess, so there is nothing to hold against the table.
        return stored.empty_table()
    given = {
        field.name: field.with_type(pa.float64())
        if widening and gets_decimals(rows, field)
        else field
        for field in stored
    }
    columns = {name: _fitted_column(table, field, rows) for name, field in given.items()} | {
        name: rows.column(name) for name in rows.column_names if name not in hints
    }
    return pa.table(columns)


def gets_decimals(rows: pa.Table, stored: pa.Field) -> bool:
    """Tell whether a column of whole numbers comes with numbers that are not whole."""
    if stored.name not in rows.column_names or not pa.types.is_integer(stored.type):
        return False
    column = rows.column(stored.name)
    if not pa.types.is_floating(column.type):
        return False
    try:
        column.cast(stored.type)
    except pa.ArrowInvalid:
        return True
    return False


def _fitted_column(table: str, field: pa.Field, rows: pa.Table) -> pa.ChunkedArray | pa.Array:
    if field.name not in rows.column_names:
        return pa.nulls(rows.num_rows, field.type)
    column = rows.column(field.name)
    same_family = storable_type(column.type) == storable_type(field.type)
    if column.null_count < len(column) and not same_family and not _may_widen(column, field.type):
        message = (
            f"{table}: column {field.name!r} is stored as {field.type} and arrives as {column.type}. "
            "Cast it at the source, or give what changed its meaning another name; "
            "nothing was written."
        )
        raise DataNotFitError(message)
    if column.null_count == len(column):
        return pa.nulls(len(column), field.type)
    return cast_column(table, field.name, column, field.type)


def _may_widen(column: pa.ChunkedArray, stored: pa.DataType) -> bool:
    """Tell whether a checked cast is loss-free: between numbers, but never to fewer float digits."""
    numbers = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)
    both = any(test(stored) for test in numbers) and any(test(column.type) for test in numbers)
    return both and not (pa.types.is_float64(column.type) and pa.types.is_float32(stored))


def cast_column(
    table: str, name: str, column: pa.ChunkedArray, target: pa.DataType
) -> pa.ChunkedArray:
    """Cast a column; only digits below the microsecond may be lost.

    Raises: DataNotFitError when a value does not fit.
    """
    if column.type == target:
        return column
    # Sub-microsecond digits are cut: tables keep microseconds.
    safe = not pa.types.is_timestamp(target)
    try:
        return pc.cast(column, target, safe=safe)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        message = (
            f"{table}: column {name!r} is stored as {target} and arrives as {column.type}, and a value "
            f"does not fit: {error}. Cast it at the source; nothing was written."
        )
        raise DataNotFitError(message) from error


def widen_column(table: str, name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Make doubles of whole numbers. Raises: DataNotFitError when one is too large for that."""
    try:
        return column.cast(pa.float64())
    except pa.ArrowInvalid as error:
        message = (
            f"{table}: column {name!r} gets decimals, and it holds whole numbers that a double cannot "
            f"hold: {error}. Give the decimals under another name; nothing was written."
        )
        raise DataNotFitError(message) from error


def as_kind(values: Sequence[Any], kind: pa.DataType | None) -> pa.Array:
    """Make a column of what callers sent: a log knows JSON's types only. What has no such form is null.

    Without a kind it is that of the values, text if they differ.
    """
    try:
        return pa.array(values, kind)
    except (pa.ArrowException, OverflowError, TypeError, ValueError):
        return pa.array(
            [_cast(value, kind or pa.string()) for value in values], kind or pa.string()
        )


def _cast(value: Any, kind: pa.DataType) -> Any:
    try:
        return pa.scalar(value).cast(kind).as_py()
    except (pa.ArrowException, OverflowError, TypeError, ValueError):
        return None
