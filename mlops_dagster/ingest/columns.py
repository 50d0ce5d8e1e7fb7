"""Gives every read the same plain column types, or says which column does not fit. Pure."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from mlops_dagster.errors import DataNotFitError, closest, nearest
from mlops_dagster.ingest.zones import Zone, zone_of
from mlops_dagster.stores.schemas import gets_decimals

INSTANT = pa.timestamp("us", tz="UTC")
_WIDER = {
    pa.uint8(): pa.int16(),
    pa.uint16(): pa.int32(),
    pa.uint32(): pa.int64(),
    pa.uint64(): pa.int64(),
    pa.float16(): pa.float32(),
    pa.date64(): pa.date32(),
    pa.large_string(): pa.string(),
    pa.large_binary(): pa.binary(),
    pa.string_view(): pa.string(),
    pa.binary_view(): pa.binary(),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """Rows with plain types, and how their times came.

    `widened` are the columns that were whole numbers in the table and have decimals now.
    """

    rows: pa.Table
    zones: Mapping[str, Zone]
    widened: tuple[str, ...] = ()


def together(tables: Iterable[pa.Table], *, where: str) -> pa.Table:
    """Put the batches of one read together; a column may widen between them, not change its kind."""
    parts = []
    for part in tables:
        refuse_twice(part.column_names, where=where)
        parts += [part] if part.num_columns else []
    if not parts:
        return pa.table({})
    try:
        return pa.concat_tables(parts, promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        message = f"{where}: the parts of the source do not fit together: {error}. Mend the source."
        raise DataNotFitError(message) from error


def fit(
    rows: pa.Table,
    *,
    stored: pa.Schema | None,
    times: Collection[str],
    untyped: Mapping[str, pa.DataType],
    where: str,
    fixed: Collection[str] = (),
) -> Fitted:
    """Bring `rows` to the types that are kept, and to those of the `stored` table.

    `times` are read as instants; what has no time zone is taken as UTC. `untyped` are the types of
    columns that have no value yet (default: text). Whole numbers may widen to doubles, but those of the
    `fixed` columns.
    Raises: DataNotFitError naming the column, its type, and the type that was needed.
    """
    _refuse_reserved(rows.column_names, where=where)
    zones, widened, columns = {}, [], {}
    for name, column in zip(rows.column_names, rows.columns, strict=True):
        known = stored.field(name) if stored and name in stored.names else None
        target = known.type if known else None
        if zone := zone_of(column, is_time=name in times):
            zones[name] = zone
        plain = _plain(column, name, where=where)
        if name in times:
            plain = _as_instants(plain, name, where=where)
        if pa.types.is_null(plain.type):
            plain = plain.cast(target or untyped.get(name, pa.string()))
        if known and name not in fixed and gets_decimals(pa.table({name: plain}), known):
            widened.append(name)
            target = pa.float64()
        columns[name] = _as_stored(plain, target, f"{where}: column {name!r}")
    return Fitted(rows=pa.table(columns), zones=zones, widened=tuple(widened))


def need_columns(
    needed: Iterable[str | None],
    present: Sequence[str],
    *,
    where: str,
    stored: Sequence[str] = (),
) -> None:
    """Refuse rows without the columns that the declaration names; the source had the `stored` ones."""
    wanted = dict.fromkeys(one for one in needed if one)
    missing = [name for name in wanted if name not in present]
    if gone := [name for name in missing if name in stored]:
        message = (
            f"{where}: {_gone(gone, present, stored)} It is declared, and the source had it before. "
            "Give it again."
        )
        raise DataNotFitError(message)
    if missing:
        raise DataNotFitError.missing_columns(where, missing, present)


def need_target(target: str, present: Sequence[str], *, where: str, stored: Sequence[str]) -> None:
    """Refuse rows without the column of the target, which may be empty."""
    if target not in present:
        missing = f"{target!r} is missing. {nearest(target, present)}"
        told = _gone([target], present, stored) if target in stored else missing
        message = (
            f"{where}: {told} It is the target: give the column, empty for rows whose outcome is not "
            "known yet, as those that are to be scored."
        )
        raise DataNotFitError(message)


def need_stored_columns(
    stored: Sequence[str], present: Sequence[str], *, where: str, lookup: bool
) -> None:
    """Refuse rows without a column that the source had before."""
    if missing := [name for name in stored if name not in present]:
        way_out = (
            "or bring the table in under another name of a lookup."
            if lookup
            else "if it is gone for good, name it in ingest.without: new rows have null there, known ones "
            "keep what they have (without a key and a cursor the column goes), and features.exclude keeps "
            "it from the model."
        )
        had = "it" if len(missing) == 1 else "them"
        message = f"{where}: {_gone(missing, present, stored)} The source had {had} before. Give {had} again; {way_out}"
        raise DataNotFitError(message)


def _gone(names: Sequence[str], present: Sequence[str], stored: Sequence[str]) -> str:
    """Name columns that the source had, each with what may be its new name: one that it had not."""
    new = [one for one in present if one not in stored]
    hints = {name: closest(name, new) for name in names}
    return " ".join(
        f"{name!r} is missing." + (f" Did you mean {hint!r}?" if hint else "")
        for name, hint in hints.items()
    )


def refuse_nulls(rows: pa.Table, columns: Iterable[str], *, where: str, role: str) -> None:
    """Refuse rows whose key (or cursor) is null: nobody could find them again."""
    for name in columns:
        if count := rows[name].null_count:
            message = (
                f"{where}: {count} of {rows.num_rows} rows have no value in the {role} column "
                f"{name!r}. Mend the source, or leave these rows out of it."
            )
            raise DataNotFitError(message)


def refuse_words(
    rows: pa.Table, stored: pa.Schema | None, *, times: Collection[str], where: str
) -> None:
    """Refuse text in columns of numbers or `times`, naming the first value that is none."""
    for name in times:
        if name in rows.column_names and pa.types.is_string(rows[name].type):
            _as_instants(rows[name], name, where=where)
    for field in stored or ():
        if field.name in rows.column_names and pa.types.is_string(rows[field.name].type):
            _refuse_words(rows[field.name], field.type, f"{where}: column {field.name!r}")


def _refuse_reserved(names: Sequence[str], *, where: str) -> None:
    if ours := sorted(name for name in names if name.startswith("_")):
        message = (
            f"{where}: {ours}: names that start with an underscore are kept for us; rename them."
        )
        raise DataNotFitError(message)


def refuse_twice(names: Sequence[str], *, where: str) -> None:
    """Refuse a name that stands over two columns."""
    if twice := sorted({name for name in names if names.count(name) > 1}):
        message = f"{where}: the columns {twice} come twice. Name each column once in the source."
        raise DataNotFitError(message)


def _plain(column: pa.ChunkedArray, name: str, *, where: str) -> pa.ChunkedArray:
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _plain(column.cast(kind.value_type), name, where=where)
    if pa.types.is_timestamp(kind):
        return column.cast(pa.timestamp("us", tz=kind.tz), safe=False).cast(INSTANT)
    if pa.types.is_time(kind):
        return column.cast(pa.string())
    if pa.types.is_duration(kind) or pa.types.is_interval(kind):
        message = f"{where}: column {name!r} is a length of time ({kind}); give it as a number."
        raise DataNotFitError(message)
    plain = _cast(column, _WIDER.get(kind, kind), f"{where}: column {name!r}")
    if not pa.types.is_floating(plain.type):
        return plain
    # One word for what is unknown: a target that is not a number is no label.
    return pc.if_else(pc.is_nan(plain), pa.scalar(None, plain.type), plain)


def _as_instants(column: pa.ChunkedArray, name: str, *, where: str) -> pa.ChunkedArray:
    kind = column.type
    if pa.types.is_timestamp(kind) or pa.types.is_null(kind):
        return column.cast(INSTANT)
    if pa.types.is_date(kind):
        return column.cast(pa.timestamp("us")).cast(INSTANT)
    if not pa.types.is_string(kind):
        message = (
            f"{where}: column {name!r} must hold times and is {kind}. "
            "Give ISO 8601 text, or a timestamp."
        )
        raise DataNotFitError(message)
    text = column.to_pandas()
    read = pd.to_datetime(text, utc=True, format="ISO8601", errors="coerce")
    if len(wrong := text[read.isna() & text.notna()]):
        message = (
            f"{where}: column {name!r}: {len(wrong)} of {len(text)} rows hold no ISO 8601 time; "
            f"first: {wrong.iloc[0]!r} in row {wrong.index[0] + 1}. Mend the source."
        )
        raise DataNotFitError(message)
    return pa.chunked_array([pa.array(read.dt.as_unit("us"), type=INSTANT)])


def _as_stored(column: pa.ChunkedArray, target: pa.DataType | None, where: str) -> pa.ChunkedArray:
    if target is None or column.type == target:
        return column
    if column.null_count == len(column) or _may_become(column.type, target):
        return _cast(column, target, where)
    if pa.types.is_string(column.type):
        _refuse_words(column, target, where)
    raise DataNotFitError(_changed(column.type, target, where))


def _refuse_words(column: pa.ChunkedArray, target: pa.DataType, where: str) -> None:
    """Name the first text where numbers were, if it is one that is no number."""
    if not (pa.types.is_integer(target) or pa.types.is_floating(target)):
        return
    text = column.to_pandas()
    if len(wrong := text[pd.to_numeric(text, errors="coerce").isna() & text.notna()]):
        message = (
            f"{where}: {len(wrong)} of {len(text)} rows hold no number, and it was {target}; "
            f"first: {wrong.iloc[0]!r} in row {wrong.index[0] + 1}. Nothing was changed. Mend the source."
        )
        raise DataNotFitError(message)


def _may_become(kind: pa.DataType, target: pa.DataType) -> bool:
    numbers = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)
    if any(one(kind) for one in numbers):
        return any(one(target) for one in numbers)
    if pa.types.is_date(kind):
        return bool(pa.types.is_timestamp(target))
    return bool(pa.types.is_nested(kind) and pa.types.is_nested(target))


def _cast(column: pa.ChunkedArray, target: pa.DataType, where: str) -> pa.ChunkedArray:
    if column.type == target:
        return column
    try:
        return column.cast(target)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataNotFitError(_changed(column.type, target, where)) from error


def _changed(kind: pa.DataType, target: pa.DataType, where: str) -> str:
    return (
        f"{where} is {kind} now and was {target}. Nothing was changed. "
        "Give it as before, or under another name."
    )
