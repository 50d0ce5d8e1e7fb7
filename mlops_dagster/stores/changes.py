"""One change of a table, planned against the version that it starts from: what goes, what comes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import and_, or_
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads

from mlops_dagster.duck import connect
from mlops_dagster.errors import DataNotFitError
from mlops_dagster.stores.content import (
    NOTHING,
    ContentSum,
    Hashed,
    content_sum,
    counted,
    sum_batches,
)
from mlops_dagster.stores.covers import Cover, cover_by, quoted_name, smallest_cover
from mlops_dagster.stores.schemas import fitted, storable, widen_column
from mlops_dagster.stores.streams import stream

_PLACE = "_mlops_place"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """`rows` come, what sums to `removed` goes. `condition` is SQL: which rows are replaced.

    `hashed` names columns of `rows` whose hashes are in another one already.
    """

    kind: Literal["append", "replace", "overwrite"]
    rows: pa.Table
    removed: ContentSum = field(default_factory=ContentSum)
    condition: str = ""
    hashed: Hashed = field(default_factory=dict)

    @property
    def added(self) -> ContentSum:
        """The sum of the rows that come."""
        return content_sum(self.rows, hashed=self.hashed)


def plan_append(
    name: str,
    rows: pa.Table,
    stored: pads.Dataset | None,
    *,
    hashed: Hashed = NOTHING,
    widening: bool = False,
) -> Change:
    """Plan to add rows; all is written anew where a column widens."""
    rows = fitted_or_new(name, rows, stored, widening=widening)
    if stored is not None and _widened(rows.schema, stored.schema):
        return _rewritten(rows, stored.to_table(), key=(), name=name)
    return Change(kind="append", rows=rows, hashed=hashed)


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
    covers = _check_inside(name, rows, where)
    if stored is None or not set(where) <= set(stored.schema.names):
        return Change(kind="append", rows=rows)
    cover = reduce(and_, covers)
    return Change(
        kind="replace",
        rows=rows,
        removed=sum_dataset(stored, filter_by=cover.expression),
        condition=cover.sql,
    )


def plan_upsert(
    name: str,
    rows: pa.Table,
    stored: pads.Dataset | None,
    *,
    key: Sequence[str],
    near: Callable[[pa.Table], pads.Dataset] | None = None,
    widening: bool = False,
) -> Change:
    """Plan to add rows, those with a known key in place of the old ones. Nulls in a key are equal.

    `near` gives the part of the table that may hold some keys; without it all of it is looked at. All is
    written anew where a column widens.
    Delta's own MERGE is not used: it writes strings as views, by which Arrow cannot filter.
    """
    rows = fitted_or_new(name, rows, stored, widening=widening)
    _check_key(name, rows, key)
    if stored is None or rows.num_rows == 0 or not set(key) <= set(stored.schema.names):
        return Change(kind="append", rows=rows)
    if _widened(rows.schema, stored.schema):
        return _rewritten(rows, stored.to_table(), key=key, name=name)
    close = near(rows.select(list(key))) if near else stored
    known, fresh = _parted(rows, close, key=key)
    if known.num_rows == 0:
        return Change(kind="append", rows=rows)
    columns = [*key, *(one.name for one in stored.schema if _tells_age(one))]
    there = [one for one in stored.schema.names if one in columns]
    old = _joined("old SEMI JOIN new", close, known.select(list(key)), key=key, columns=there)
    old = old.cast(pa.schema([stored.schema.field(one) for one in there]))
    touched = pa.concat_tables([old, known.select(there)], promote_options="default")
    covers = [smallest_cover(stored, part, columns) for part in (touched, fresh) if part.num_rows]
    if any(cover is None for cover in covers):
        return _rewritten(rows, stored.to_table(), key=key, name=name)
    cover = reduce(or_, [one for one in covers if one is not None])
    inside = pa.Table.from_batches(stream(stored, where=cover.expression), stored.schema)
    return _rewritten(rows, inside, key=key, name=name, cover=cover)


def fitted_or_new(
    name: str, rows: pa.Table, stored: pads.Dataset | None, *, widening: bool = False
) -> pa.Table:
    """Fit rows to the stored schema, or to one that a new table can have."""
    if stored is None:
        return storable(name, rows, hints={})
    return fitted(name, rows, stored.schema, widening=widening)


def sum_dataset(stored: pads.Dataset, *, filter_by: pc.Expression | None = None) -> ContentSum:
    """Sum a table's rows as a stream."""
    names = [column.name for column in counted(stored.schema)]
    if not names:
        return ContentSum(rows=stored.count_rows(filter=filter_by))
    return sum_batches(stream(stored, columns=names, where=filter_by))


def _check_inside(name: str, rows: pa.Table, where: Mapping[str, str | int]) -> list[Cover]:
    """See that the rows are in the part that they replace, and give its conditions."""
    if absent := set(where) - set(rows.column_names):
        raise DataNotFitError.missing_columns(name, sorted(absent), rows.column_names)
    covers = []
    for column, value in where.items():
        chosen = typed(name, rows.schema, column, value)
        same = pc.equal(rows.column(column), chosen)
        if outside := rows.num_rows - (pc.sum(same).as_py() or 0):
            message = (
                f"{name}: {outside} of {rows.num_rows} rows have another {column!r} than {value!r}, "
                "which is what they replace. Nothing was written."
            )
            raise DataNotFitError(message)
        covers.append(covering(name, column, chosen))
    return covers


def typed(name: str, schema: pa.Schema, column: str, value: str | int) -> pa.Scalar:
    """Give a value the type of its column. Raises: DataNotFitError when it has no such form."""
    kind = schema.field(column).type
    try:
        return pa.scalar(value).cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        message = f"{name}: {value!r} is no value of column {column!r}, which is {kind}: {error}"
        raise DataNotFitError(message) from error


def covering(name: str, column: str, value: pa.Scalar) -> Cover:
    """Cover the rows that have a value. Raises: DataNotFitError for a type that is not exact."""
    cover = cover_by(column, pa.chunked_array([pa.array([value.as_py()], value.type)]))
    if cover is None:
        message = (
            f"{name}: rows cannot be chosen by column {column!r}, which is {value.type}. "
            "Name a column of text, whole numbers or times."
        )
        raise DataNotFitError(message)
    return cover


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


def _parted(
    rows: pa.Table, stored: pads.Dataset, *, key: Sequence[str]
) -> tuple[pa.Table, pa.Table]:
    """Part rows into those whose key the table has and the others; reads the key's columns alone."""
    numbered = rows.select(list(key)).append_column(_PLACE, pa.array(range(rows.num_rows)))
    there = _joined("old SEMI JOIN new", stored, numbered, key=key, columns=key)
    found = _joined("new SEMI JOIN old", there, numbered, key=key).column(_PLACE)
    known = pc.is_in(numbered.column(_PLACE), value_set=found.combine_chunks())
    return rows.filter(known), rows.filter(pc.invert(known))


def _tells_age(column: pa.Field) -> bool:
    """Tell whether rows that were written together are alike in a column."""
    temporal = pa.types.is_timestamp(column.type) or pa.types.is_date(column.type)
    return bool(temporal or column.name.startswith("_"))


def _widened(rows: pa.Schema, stored: pa.Schema) -> list[str]:
    """List the columns of whole numbers that get decimals with rows that were fitted."""
    return [
        one.name
        for one in stored
        if pa.types.is_integer(one.type) and pa.types.is_floating(rows.field(one.name).type)
    ]


def _rewritten(
    rows: pa.Table,
    inside: pa.Table,
    *,
    key: Sequence[str],
    name: str,
    cover: Cover | None = None,
) -> Change:
    """Put rows beside those `inside` a part of the table (or all of it) that have other keys."""
    kept = _with_other_keys(inside, rows, key=key) if key else inside
    for column in _widened(rows.schema, inside.schema):
        wide = widen_column(name, column, kept.column(column))
        kept = kept.set_column(kept.schema.get_field_index(column), column, wide)
    every = pa.concat_tables([kept, rows], promote_options="default")
    return Change(
        kind="replace" if cover else "overwrite",
        rows=every.select(rows.column_names),
        removed=content_sum(inside),
        condition=cover.sql if cover else "",
    )


def _with_other_keys(inside: pa.Table, rows: pa.Table, *, key: Sequence[str]) -> pa.Table:
    # Keys alone go through the database, since a table's other columns weigh many times as much.
    keys = inside.select(list(key)).append_column(_PLACE, pa.array(range(inside.num_rows)))
    others = _joined("old ANTI JOIN new", keys, rows.select(list(key)), key=key, columns=[_PLACE])
    places = others.column(_PLACE).combine_chunks()
    return inside.filter(pc.is_in(keys.column(_PLACE), value_set=places))


def _joined(
    how: Literal["old SEMI JOIN new", "old ANTI JOIN new", "new SEMI JOIN old"],
    old: pads.Dataset | pa.Table,
    new: pa.Table,
    *,
    key: Sequence[str],
    columns: Sequence[str] = (),
) -> pa.Table:
    """Choose rows by whether the other side has their key; nulls are equal."""
    same = " AND ".join(
        f"new.{one} IS NOT DISTINCT FROM old.{one}" for one in map(quoted_name, key)
    )
    chosen = ", ".join(map(quoted_name, columns)) or "*"
    with connect() as connection:
        connection.register("old", old)
        connection.register("new", new)
        return connection.sql(f"SELECT {chosen} FROM {how} ON {same}").to_arrow_table()
