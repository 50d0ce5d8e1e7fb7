"""Rows in quarantine, as `validate` keeps them and `ingest` asks for them."""

import json
from collections.abc import Iterable, Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads

from mlops_dagster.duck import connect
from mlops_dagster.stores.covers import quoted_name
from mlops_dagster.stores.row_text import from_text
from mlops_dagster.stores.tables import BATCH, TableStore, TableVersion

QUARANTINE = "quarantine"
KEY = "key"
"""The state of `raw_data` that lists its key."""
INSTANT = pa.timestamp("us", tz="UTC")
HELD = pa.schema(
    [
        (BATCH, pa.int64()),
        ("reason", pa.string()),
        ("expectation", pa.string()),
        ("row", pa.string()),
        ("quarantined_at", INSTANT),
        ("replayed_at", INSTANT),
        ("by_row", pa.bool_()),
    ]
)
"""`by_row`: the row broke an expectation itself; else it is here with its batch alone."""
_REFUSED = "refused_batches"
_PLACE = "_place"


def held_rows(tables: TableStore, name: str) -> pa.Table:
    """Read the rows that were ever held, with the columns of `HELD`."""
    if tables.latest(name) is None:
        return HELD.empty_table()
    stored = tables.read(name)
    columns = [
        stored[one.name] if one.name in stored.column_names else pa.nulls(len(stored), one.type)
        for one in HELD
    ]
    return pa.table(columns, names=HELD.names).cast(HELD)


def refused_batches(table: TableVersion | None) -> list[int]:
    """List the batches that were refused as a whole."""
    return list(json.loads(table.state.get(_REFUSED, "[]"))) if table else []


def refused_state(batches: Iterable[int]) -> dict[str, str]:
    """Say which batches were refused as a whole, as state of a commit."""
    return {_REFUSED: json.dumps(sorted(set(batches)))}


def keys_of(held: pa.Table, key: Sequence[str], schema: pa.Schema, *, where: str) -> pa.Table:
    """Read the key of each held row, beside its batch."""
    if not key:
        return held.select([BATCH])
    wanted = pa.schema([schema.field(name) for name in key])
    keys = from_text(held["row"].to_pylist(), wanted, where=where)
    return keys.append_column(BATCH, held[BATCH])


def waiting_rows(tables: TableStore, address: str, *, key: Sequence[str] | None = None) -> pa.Table:
    """Choose a model's held rows that were not replayed, and that no newer row has replaced.

    The key is what `raw_data` was written by, if it is not given.
    """
    entries = held_rows(tables, f"{address}/{QUARANTINE}")
    held = entries.filter(pc.is_null(entries["replayed_at"]))
    raw = tables.latest(f"{address}/raw_data")
    if raw is None or not held.num_rows:
        return held
    names = json.loads(raw.state.get(KEY, "[]")) if key is None else key
    return held.filter(standing(held, raw, tables.dataset(raw.ref.name), names))


def standing(held: pa.Table, raw: TableVersion, rows: pads.Dataset, key: Sequence[str]) -> pa.Array:
    """Tell which held rows still stand in `raw` (its `rows`): no newer one has taken their place.

    Without a key, a row stands as long as any row of its batch does.
    """
    names = [*key, BATCH]
    stored = rows.to_table(columns=names, filter=pads.field(BATCH).isin(pc.unique(held[BATCH])))
    given = keys_of(held, key, raw.schema, where=raw.ref.name).append_column(
        _PLACE, pa.array(range(held.num_rows), pa.int64())
    )
    same = ", ".join(map(quoted_name, names))
    with connect() as engine:
        engine.register("given", given)
        engine.register("stored", stored)
        found = engine.sql(f"SELECT {_PLACE} FROM given SEMI JOIN stored USING ({same})")
        places = found.to_arrow_table()[_PLACE].combine_chunks()
    return pc.is_in(given[_PLACE], value_set=places).combine_chunks()
