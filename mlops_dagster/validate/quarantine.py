"""Rows that were kept out of a model: who is there and why, and how mended ones come back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from mlops_dagster.declaration import ModelIdentity
from mlops_dagster.errors import DataNotFitError
from mlops_dagster.stores.content import digest_of_table
from mlops_dagster.stores.tables import BATCH, TableStore, TableVersion
from mlops_dagster.validate.row_text import conform, from_text, to_text
from mlops_dagster.validate.ruling import Complaint
from mlops_dagster.workbench import StepContext, Workbench

NOUN = "quarantine"
_INSTANT = pa.timestamp("us", tz="UTC")
SCHEMA = pa.schema(
    [
        (BATCH, pa.int64()),
        ("reason", pa.string()),
        ("expectation", pa.string()),
        ("row", pa.string()),
        ("quarantined_at", _INSTANT),
        ("replayed_at", _INSTANT),
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """The rows of one batch in quarantine: how many there are, and how many still wait."""

    batch: int
    rows: int
    waiting: int
    expectations: tuple[str, ...]
    reason: str
    quarantined_at: datetime


def keep_out(
    tables: TableStore,
    name: str,
    rows: pa.Table,
    *,
    complaints: Mapping[int, Complaint],
    batch: int,
    at: datetime,
) -> None:
    """Put a batch's rows into quarantine; the same again puts nothing twice."""
    if not complaints and tables.latest(name) is None:
        return
    positions = sorted(complaints)
    texts = to_text(rows.drop_columns([BATCH]).take(pa.array(positions, pa.int64())))
    entries = [
        {
            BATCH: batch,
            "reason": complaints[position].reason,
            "expectation": complaints[position].expectation,
            "row": text,
            "quarantined_at": at,
            "replayed_at": None,
        }
        for position, text in zip(positions, texts, strict=True)
    ]
    tables.replace(name, pa.Table.from_pylist(entries, schema=SCHEMA), where={BATCH: batch})


def listed(bench: Workbench, model: ModelIdentity) -> list[Held]:
    """List the batches that have rows in quarantine, oldest first."""
    entries = _entries(bench, model)
    return [_held(entries, batch) for batch in sorted(set(entries[BATCH].to_pylist()))]


def export(bench: Workbench, model: ModelIdentity, *, batch: int | None = None) -> pa.Table:
    """Read the waiting rows with the source's own columns and types, to be mended.

    `_batch`, `_expectation` and `_reason` say where each is from and why it is here; they are ignored
    when the rows come back.
    """
    entries = _waiting(_entries(bench, model), batch)
    raw = bench.tables.latest(f"{model.address}/raw_data")
    if raw is None:
        return pa.table({})
    where = f"{model.address}/{NOUN}"
    rows = from_text(entries["row"].to_pylist(), _own(raw.schema), where=where)
    for name, column in ((BATCH, BATCH), ("_expectation", "expectation"), ("_reason", "reason")):
        rows = rows.append_column(name, entries[column])
    return rows


def replay(context: StepContext, *, batch: int, mended: pa.Table | None = None) -> int:
    """Take a batch's waiting rows back, mended or as they are; the next validation judges them anew.

    They become a new batch of `raw_data`, where a row with a known key replaces the old one. With a
    key only the mended rows leave the quarantine; without one all of the batch must come back.
    Gives the number of rows. Raises: DataNotFitError; nothing was changed.
    """
    tables, model = context.bench.tables, context.model
    where = f"{model.address}/{NOUN}"
    with context.lock("raw_data"), context.lock(NOUN):
        entries = _entries(context.bench, model)
        waiting = _waiting(entries, batch)
        raw = tables.latest(context.table("raw_data"))
        if raw is None or not waiting.num_rows:
            message = (
                f"{where}: no rows of batch {batch} wait. "
                f"Batches with waiting rows: {_waiting_batches(entries)}."
            )
            raise DataNotFitError(message)
        held = from_text(waiting["row"].to_pylist(), _own(raw.schema), where=where)
        rows = held if mended is None else conform(mended, _own(raw.schema), where=where)
        back = _returned(held, rows, key=model.key, where=where)
        _bring_back(tables, raw, rows, batch=batch, held=held.num_rows, key=model.key)
        marked = _marked(entries, waiting, back=back, batch=batch, at=context.at)
        tables.replace(context.table(NOUN), marked, where={BATCH: batch})
    return int(rows.num_rows)


def _entries(bench: Workbench, model: ModelIdentity) -> pa.Table:
    name = f"{model.address}/{NOUN}"
    if bench.tables.latest(name) is None:
        return SCHEMA.empty_table()
    return bench.tables.read(name).select(SCHEMA.names).cast(SCHEMA)


def _waiting(entries: pa.Table, batch: int | None) -> pa.Table:
    waiting = entries.filter(pc.is_null(entries["replayed_at"]))
    return waiting if batch is None else waiting.filter(pc.equal(waiting[BATCH], batch))


def _waiting_batches(entries: pa.Table) -> list[int]:
    return sorted(set(_waiting(entries, None)[BATCH].to_pylist()))


def _held(entries: pa.Table, batch: int) -> Held:
    own = entries.filter(pc.equal(entries[BATCH], batch))
    named = {name for text in own["expectation"].to_pylist() for name in text.split(", ")}
    return Held(
        batch=batch,
        rows=own.num_rows,
        waiting=own["replayed_at"].null_count,
        expectations=tuple(sorted(named)),
        reason=str(own["reason"][0].as_py()),
        quarantined_at=own["quarantined_at"][0].as_py(),
    )


def _own(schema: pa.Schema) -> pa.Schema:
    return pa.schema([field for field in schema if field.name != BATCH])


def _keys(rows: pa.Table, key: Sequence[str]) -> list[tuple[object, ...]]:
    return list(zip(*(rows[name].to_pylist() for name in key), strict=True))


def _returned(held: pa.Table, rows: pa.Table, *, key: tuple[str, ...], where: str) -> list[bool]:
    """Tell which of the held rows come back."""
    if not key:
        if rows.num_rows != held.num_rows:
            message = (
                f"{where}: {rows.num_rows} mended rows for {held.num_rows} that wait, and without a "
                "key nobody can tell which are meant. Give all of them back."
            )
            raise DataNotFitError(message)
        return [True] * held.num_rows
    given = _keys(rows, key)
    if strangers := sorted(set(given) - set(_keys(held, key)), key=str):
        message = (
            f"{where}: {len(strangers)} of {rows.num_rows} mended rows have a key that does not wait; "
            f"first: {dict(zip(key, strangers[0], strict=True))}. Leave the key as it was."
        )
        raise DataNotFitError(message)
    known = set(given)
    return [one in known for one in _keys(held, key)]


def _bring_back(
    tables: TableStore,
    raw: TableVersion,
    rows: pa.Table,
    *,
    batch: int,
    held: int,
    key: tuple[str, ...],
) -> None:
    # A kill after this commit and before the mark in the quarantine must not add the rows twice.
    token = f"{batch}:{digest_of_table(rows)}"
    if raw.state.get("last_replay") == token:
        return
    number = int(raw.state.get("batch", "0")) + 1
    state = {"batch": str(number), "last_replay": token}
    numbered = rows.append_column(BATCH, pa.array([number] * rows.num_rows, pa.int64()))
    name = raw.ref.name
    if key:
        tables.upsert(name, numbered, key=key, state=state)
    elif raw.state.get("mode") == "snapshot" and _is_whole(raw, batch=batch, held=held):
        tables.overwrite(name, numbered, state=state | {"snapshot_batch": str(number)})
    else:
        tables.append(name, numbered, state=state)


def _is_whole(raw: TableVersion, *, batch: int, held: int) -> bool:
    """Tell whether a snapshot was refused as a whole. A newer one makes the old rows history."""
    if raw.state.get("snapshot_batch") != str(batch):
        message = (
            f"{raw.ref.name}: batch {batch} was a snapshot that a newer one replaced. "
            "Mend the source instead; its next snapshot is judged as a whole."
        )
        raise DataNotFitError(message)
    return held == raw.ref.rows


def _marked(
    entries: pa.Table, waiting: pa.Table, *, back: Sequence[bool], batch: int, at: datetime
) -> pa.Table:
    own = entries.filter(pc.equal(entries[BATCH], batch))
    earlier = own.filter(pc.is_valid(own["replayed_at"]))
    times = pa.array([at if returned else None for returned in back], _INSTANT)
    index = waiting.schema.get_field_index("replayed_at")
    return pa.concat_tables([earlier, waiting.set_column(index, "replayed_at", times)])
