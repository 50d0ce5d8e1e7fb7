"""One change of a table, planned against the version that it starts from: what goes, what comes."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads

from mlops_dagster.errors import DataNotFitError
from mlops_dagster.stores.content import ContentSum, content_sum, counted, sum_batches
from mlops_dagster.stores.schemas import fitted, storable


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """`rows` come, what sums to `removed` goes. `condition` is SQL: which rows to replace or match."""

    kind: Literal["append", "replace", "merge", "overwrite"]
    rows: pa.Table
    removed: ContentSum = field(default_factory=ContentSum)
    condition: str = ""

    @property
    def added(self) -> ContentSum:
        """The sum of the rows that come."""
        return content_sum(self.rows)


def plan_append(name: str, rows: pa.Table, stored: pads.Dataset | None) -> Change:
    """Plan to add rows."""
    return Change(kind="append", rows=fitted_or_new(name, rows, stored))


def plan_overwrite(
    name: str, rows: pa.Table, stored: pads.Dataset | None, *, content: ContentSum
) -> Change:
    """Plan to put rows in place of everything; types may change."""
    hints = {column.name: column.type for column in stored.schema} if stored else {}
    return Change(kind="overwrite", rows=storable(name, rows, hints=hints), removed=content)


def plan_replace(
    name: str, rows: pa.Table, stored: pads.Dataset | None, *, where: Mapping[str, str | int]
) -> Change:
    """Plan to put rows in place of those whose columns equal `where`."""
    rows = fitted_or_new(name, rows, stored)
    _check_inside(name, rows, where)
    if stored is None or not set(where) <= set(stored.schema.names):
        return Change(kind="append", rows=rows)
    terms = [
        pads.field(column) == typed(name, rows, column, value) for column, value in where.items()
    ]
    chosen = terms[0]
    for term in terms[1:]:
        chosen = chosen & term
    return Change(
        kind="replace",
        rows=rows,
        removed=sum_dataset(stored, filter_by=chosen),
        condition=" AND ".join(f"{quoted(column)} = {literal(v)}" for column, v in where.items()),
    )


def plan_upsert(
    name: str, rows: pa.Table, stored: pads.Dataset | None, *, key: Sequence[str]
) -> Change:
    """Plan to add rows, those with a known key in place of the old ones. Nulls in a key are equal."""
    rows = fitted_or_new(name, rows, stored)
    _check_key(name, rows, key)
    if stored is None or rows.num_rows == 0 or not set(key) <= set(stored.schema.names):
        return Change(kind="append", rows=rows)
    if (known := _known_keys(stored, rows, key=key)) == 0:
        return Change(kind="append", rows=rows)
    old = _joined("SEMI", stored, rows, key=key)
    if old.num_rows > known:
        # A merge would write the new row once for each old one that has its key.
        kept = _joined("ANTI", stored, rows, key=key)
        every = pa.concat_tables([kept, rows], promote_options="default")
        return Change(kind="overwrite", rows=every, removed=sum_dataset(stored))
    return Change(
        kind="merge",
        rows=rows,
        removed=content_sum(old),
        condition=_same_key(key, "new", "old"),
    )


def fitted_or_new(name: str, rows: pa.Table, stored: pads.Dataset | None) -> pa.Table:
    """Fit rows to the stored schema, or to one that a new table can have."""
    return storable(name, rows, hints={}) if stored is None else fitted(name, rows, stored.schema)


def sum_dataset(stored: pads.Dataset, *, filter_by: pc.Expression | None = None) -> ContentSum:
    """Sum a table's rows as a stream."""
    names = [column.name for column in counted(stored.schema)]
    if not names:
        return ContentSum(rows=stored.count_rows(filter=filter_by))
    return sum_batches(stored.to_batches(columns=names, filter=filter_by))


def typed(name: str, rows: pa.Table, column: str, value: str | int) -> pa.Scalar:
    """Give a value the type of its column."""
    kind = rows.schema.field(column).type
    try:
        return pa.scalar(value).cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        message = f"{name}: {value!r} is no value of column {column!r}, which is {kind}: {error}"
        raise DataNotFitError(message) from error


def quoted(column: str) -> str:
    """Write a column's name in SQL."""
    return '"' + column.replace('"', '""') + '"'


def literal(value: str | int) -> str:
    """Write a value in SQL."""
    return str(value) if isinstance(value, int) else "'" + value.replace("'", "''") + "'"


def _check_inside(name: str, rows: pa.Table, where: Mapping[str, str | int]) -> None:
    if absent := set(where) - set(rows.column_names):
        raise DataNotFitError.missing_columns(name, sorted(absent), rows.column_names)
    for column, value in where.items():
        same = pc.equal(rows.column(column), typed(name, rows, column, value))
        if outside := rows.num_rows - (pc.sum(same).as_py() or 0):
            message = (
                f"{name}: {outside} of {rows.num_rows} rows have another {column!r} than {value!r}, "
                "which is what they replace. Nothing was written."
            )
            raise DataNotFitError(message)


def _check_key(name: str, rows: pa.Table, key: Sequence[str]) -> None:
    if absent := set(key) - set(rows.column_names):
        raise DataNotFitError.missing_columns(name, sorted(absent), rows.column_names)
    different = rows.group_by(list(key)).aggregate([]).num_rows
    if different < rows.num_rows:
        message = (
            f"{name}: {rows.num_rows} rows have only {different} different keys {list(key)}. "
            "Give each key once, or name a key that tells rows apart; nothing was written."
        )
        raise DataNotFitError(message)


@contextmanager
def _sql(stored: pads.Dataset, rows: pa.Table) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open SQL over `old` (the table) and `new` (the rows)."""
    with duckdb.connect(config={"autoinstall_known_extensions": False}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("old", stored)
        connection.register("new", rows)
        yield connection


def _same_key(key: Sequence[str], left: str, right: str) -> str:
    same = "{left}.{column} IS NOT DISTINCT FROM {right}.{column}"
    return " AND ".join(same.format(left=left, right=right, column=quoted(one)) for one in key)


def _known_keys(stored: pads.Dataset, rows: pa.Table, *, key: Sequence[str]) -> int:
    """Count the rows whose key is in the table already; reads the key's columns alone."""
    query = f"SELECT count(*) FROM new SEMI JOIN old ON {_same_key(key, 'new', 'old')}"
    with _sql(stored, rows.select(list(key))) as connection:
        found = connection.execute(query).fetchone()
    return int(found[0]) if found else 0


def _joined(
    how: Literal["SEMI", "ANTI"], stored: pads.Dataset, rows: pa.Table, *, key: Sequence[str]
) -> pa.Table:
    """Read the table's rows whose key is (SEMI) or is not (ANTI) among the new ones."""
    query = f"SELECT * FROM old {how} JOIN new ON {_same_key(key, 'new', 'old')}"
    with _sql(stored, rows.select(list(key))) as connection:
        return connection.sql(query).to_arrow_table().cast(stored.schema)
