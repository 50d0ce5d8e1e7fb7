"""One row of any table as JSON text, and back to the exact row. Pure."""

import base64
import json
from collections.abc import Sequence
from datetime import date, time, timedelta
from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow as pa

from mlops_dagster.errors import DataNotFitError, first_line
from mlops_dagster.stores.schemas import fitted


def to_text(rows: pa.Table) -> list[str]:
    """Write each row as one JSON object, the same row as the same text.

    Names are sorted and nulls left out, so that a column that was added since changes nothing.
    """
    return [_written(row) for row in rows.to_pylist()]


def parts_of(texts: Sequence[str], names: Sequence[str]) -> list[str]:
    """Read some columns of rows that `to_text` wrote, as it would write them alone."""
    rows = map(json.loads, texts)
    return [_written({name: row.get(name) for name in names}) for row in rows]


def with_whole_numbers(texts: Sequence[str]) -> list[str]:
    """Write rows that `to_text` wrote with 3 for 3.0: as it was before their column got decimals."""
    return [_written(json.loads(text, parse_float=_whole)) for text in texts]


def from_text(texts: Sequence[str], schema: pa.Schema, *, where: str) -> pa.Table:
    """Read rows back with the types of `schema`; a column that a row has not is null."""
    rows = [json.loads(text) for text in texts]
    columns = [
        _column([row.get(field.name) for row in rows], field, where=where) for field in schema
    ]
    return pa.table(columns, schema=schema)


def conform(rows: pa.Table, schema: pa.Schema, *, where: str) -> pa.Table:
    """Bring rows that somebody mended to the types of `schema`; all may be text, naive is UTC.

    Raises: DataNotFitError when a column is missing or does not fit.
    """
    names = schema.names
    if missing := [name for name in names if name not in rows.column_names]:
        raise DataNotFitError.missing_columns(where, missing, rows.column_names)
    columns = {name: _read(rows[name], schema.field(name).type, name, where) for name in names}
    return fitted(where, pa.table(columns), schema)


def _written(row: dict[str, Any]) -> str:
    known = {name: value for name, value in row.items() if value is not None}
    return json.dumps(known, default=_told, ensure_ascii=False, sort_keys=True)


def _whole(text: str) -> int | float:
    number = float(text)
    return int(number) if number.is_integer() else number


def _read(column: pa.ChunkedArray, kind: pa.DataType, name: str, where: str) -> pa.ChunkedArray:
    if not _is_texts(column.type) or _is_texts(kind) or pa.types.is_timestamp(kind):
        return _instants(column, kind, name, where)
    try:
        return column.cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        message = (
            f"{where}: column {name!r} is {kind}, and a text does not fit: {first_line(error)}."
        )
        raise DataNotFitError(message) from error


def _is_texts(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _told(value: object) -> str | float:
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, timedelta):
        return value.total_seconds()
    return str(value)


def _column(values: list[Any], field: pa.Field, *, where: str) -> pa.Array:
    kind = field.type
    if pa.types.is_binary(kind):
        values = [None if one is None else base64.b64decode(one) for one in values]
    if pa.types.is_decimal(kind):
        values = [None if one is None else Decimal(one) for one in values]
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        text = pa.chunked_array([pa.array(values, pa.string())])
        return _instants(text, kind, field.name, where).cast(kind).combine_chunks()
    return pa.array(values, kind)


def _instants(column: pa.ChunkedArray, kind: pa.DataType, name: str, where: str) -> pa.ChunkedArray:
    is_text = _is_texts(column.type)
    if is_text and pa.types.is_timestamp(kind):
        try:
            read = pd.to_datetime(column.to_pandas(), utc=True, format="ISO8601")
        except ValueError as error:
            message = f"{where}: column {name!r} holds no ISO 8601 time: {error}"
            raise DataNotFitError(message) from error
        instants = pa.array(read.dt.as_unit("us"), pa.timestamp("us", "UTC"))
        return pa.chunked_array([instants]).cast(kind)
    zoneless = pa.types.is_timestamp(column.type) and column.type.tz is None
    if zoneless and pa.types.is_timestamp(kind) and kind.tz:
        return column.cast(kind, safe=False)
    return column.cast(kind) if is_text and pa.types.is_date(kind) else column
