"""Make what a model is given: rows, and what the second tables knew at the rows' own times."""

from collections.abc import Mapping

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as kinds

from mlops_dagster.compute.local import Compute
from mlops_dagster.compute.point_in_time import join_as_known
from mlops_dagster.declaration import LookupJoin
from mlops_dagster.errors import DataNotFitError
from mlops_dagster.records import TableRef
from mlops_dagster.stores.tables import TableStore


def join_lookups(
    rows: pa.Table,
    *,
    tables: TableStore,
    compute: Compute,
    lookups: Mapping[str, TableRef],
    joins: Mapping[str, LookupJoin],
    at: str | None,
) -> pa.Table:
    """Add the columns of each second table, at the exact version given, as `<name>_<column>`.

    Raises: DataNotFitError when the rows came without one of the tables, or it cannot be joined.
    """
    joined = rows
    for name, join in joins.items():
        if name not in lookups:
            message = (
                f"second table {name!r} is declared (ingest.lookups), and the rows came without it: "
                f"they have {sorted(lookups)}. Materialize raw_data again."
            )
            raise DataNotFitError(message)
        ref = lookups[name]
        joined = join_as_known(
            compute,
            joined,
            tables.read(ref.name, version=ref.version),
            name=name,
            key=join.key,
            at=at or "",
            event_time=join.event_time,
            known_at=join.known_at,
            ttl=join.ttl,
        )
    return joined


def as_given(rows: pa.Table) -> pd.DataFrame:
    """Turn rows into what feature functions see, in training as online: doubles, and times in UTC.

    A request knows no integers, dates or truth values beside nulls, so neither may training: the text
    of a number would be `1` here and `1.0` there. Nor does it know infinite numbers: they are null.
    """
    columns = [_as_given(rows.column(name)) for name in rows.column_names]
    frame: pd.DataFrame = pa.table(columns, names=rows.column_names).to_pandas()
    return frame


def times_of(schema: pa.Schema) -> list[str]:
    """Name the columns that hold times."""
    return [field.name for field in schema if _is_time(field.type)]


def _as_given(column: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = column.type
    if kinds.is_boolean(kind):
        return column.cast(pa.int8()).cast(pa.float64())
    if kinds.is_integer(kind) or kinds.is_decimal(kind) or kinds.is_floating(kind):
        return _finite(column.cast(pa.float64(), safe=False))
    if not _is_time(kind):
        return column
    if kinds.is_date(kind):
        return pc.assume_timezone(column.cast(pa.timestamp("us")), "UTC")
    if kind.tz is None:
        return pc.assume_timezone(column, "UTC")
    return column.cast(pa.timestamp(kind.unit, "UTC"))


def _finite(numbers: pa.ChunkedArray) -> pa.ChunkedArray:
    infinite = pc.is_inf(numbers)
    if not pc.any(infinite).as_py():
        return numbers
    return pc.if_else(infinite, pa.scalar(None, numbers.type), numbers)


def _is_time(kind: pa.DataType) -> bool:
    return bool(kinds.is_timestamp(kind) or kinds.is_date(kind))
