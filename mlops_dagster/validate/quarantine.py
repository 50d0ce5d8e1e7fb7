"""Rows that were kept out of a model: who is there and why, and how mended ones come back."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from mlops_dagster.declaration import ModelIdentity
from mlops_dagster.errors import DataNotFitError
from mlops_dagster.stores.content import digest_of_table
from mlops_dagster.stores.described import grouped
from mlops_dagster.stores.held_rows import (
    HELD,
    INSTANT,
    held_rows,
    refused_batches,
    refused_state,
    standing,
    waiting_rows,
)
from mlops_dagster.stores.held_rows import QUARANTINE as NOUN
from mlops_dagster.stores.row_text import conform, from_text, to_text
from mlops_dagster.stores.tables import BATCH, TableStore, TableVersion
from mlops_dagster.validate.ruling import Complaint
from mlops_dagster.workbench import StepContext, Workbench


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """The rows of one batch in quarantine: how many there are, and how many still wait.

    A row waits until it is replayed, or a newer row takes its place in `raw_data`.
    """

    batch: int
    rows: int
    waiting: int
    expectations: tuple[str, ...]
    reason: str
    quarantined_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """How many rows went back to `raw_data`, and how many stayed out since a newer row is there."""

    rows: int
    replaced: int


def keep_out(
    tables: TableStore,
    name: str,
    rows: pa.Table,
    *,
    complaints: Mapping[int, Complaint],
    batch: int,
    at: datetime,
    refused: bool = False,
) -> None:
    """Put a batch's rows into quarantine, all of them when it was `refused`; again puts none twice."""
    latest = tables.latest(name)
    if not complaints and latest is None:
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
            "by_row": complaints[position].by_row,
        }
        for position, text in zip(positions, texts, strict=True)
    ]
    others = {one for one in refused_batches(latest) if one != batch}
    tables.replace(
        name,
        pa.Table.from_pylist(entries, schema=HELD),
        where={BATCH: batch},
        state=refused_state(others | {batch} if refused else others),
    )


def listed(bench: Workbench, model: ModelIdentity) -> list[Held]:
    """List the batches that have rows in quarantine, oldest first."""
    entries = held_rows(bench.tables, f"{model.address}/{NOUN}")
    waiting = Counter(waiting_rows(bench.tables, model.address, key=model.key)[BATCH].to_pylist())
    return [
        _held(entries, batch, waiting=waiting[batch])
        for batch in sorted(set(entries[BATCH].to_pylist()))
    ]


def export(bench: Workbench, model: ModelIdentity, *, batch: int | None = None) -> pa.Table:
    """Read the waiting rows with the source's own columns and types, to be mended.

    `_batch`, `_expectation` and `_reason` say where each is from and why it is here; they are ignored
    when the rows come back. Raises: DataNotFitError when no row of `batch` waits.
    """
    entries = waiting_rows(bench.tables, model.address, key=model.key)
    if batch is not None:
        waiting = sorted(set(entries[BATCH].to_pylist()))
        if batch not in waiting:
            raise DataNotFitError(_no_rows(f"{model.address}/{NOUN}", batch, waiting))
        entries = entries.filter(pc.equal(entries[BATCH], batch))
    raw = bench.tables.latest(f"{model.address}/raw_data")
    if raw is None:
        return pa.table({})
    where = f"{model.address}/{NOUN}"
    rows = from_text(entries["row"].to_pylist(), _own(raw.schema), where=where)
    for name, column in ((BATCH, BATCH), ("_expectation", "expectation"), ("_reason", "reason")):
        rows = rows.append_column(name, entries[column])
    return rows


def replay(context: StepContext, *, batch: int, mended: pa.Table | None = None) -> Replayed:
    """Take a batch's waiting rows back, mended or as they are; the next validation judges them anew.

    They become a new batch of `raw_data`, where a row with a known key replaces the old one; a row that
    a newer one has replaced there stays out. With a key only the mended rows leave the quarantine;
    without one all of the batch must come back.
    Raises: DataNotFitError; nothing was changed.
    """
    tables, model = context.bench.tables, context.model
    where = f"{model.address}/{NOUN}"
    with context.lock("raw_data"), context.lock(NOUN):
        entries = held_rows(tables, where)
        own = entries.filter(
            pc.and_(pc.equal(entries[BATCH], batch), pc.is_null(entries["replayed_at"]))
        )
        raw = tables.latest(context.table("raw_data"))
        if raw is None or not own.num_rows:
            waiting = waiting_rows(tables, model.address, key=model.key)[BATCH].to_pylist()
            raise DataNotFitError(_no_rows(where, batch, sorted(set(waiting))))
        held = from_text(own["row"].to_pylist(), _own(raw.schema), where=where)
        rows = held if mended is None else conform(mended, _own(raw.schema), where=where)
        back = _returned(held, rows, key=model.key, where=where)
        # A kill after this commit and before the mark in the quarantine must not add the rows twice.
        token = f"{batch}:{digest_of_table(rows)}"
        taken = rows
        if raw.state.get("last_replay") != token:
            stands = standing(own, raw, tables.dataset(raw.ref.name), model.key).to_pylist()
            taken = _not_replaced(held, rows, stands=stands, key=model.key)
            if not taken.num_rows:
                message = (
                    f"{where}: {grouped(rows.num_rows)} rows of batch {batch} were replaced by newer ones since. "
                    "There is nothing to take back; mend the source if the newer ones are wrong."
                )
                raise DataNotFitError(message)
            back = [given and stood for given, stood in zip(back, stands, strict=True)]
            _bring_back(tables, raw, taken, batch=batch, token=token, key=model.key)
        marked = _marked(entries, own, back=back, batch=batch, at=context.at)
        tables.replace(where, marked, where={BATCH: batch})
    return Replayed(rows=taken.num_rows, replaced=rows.num_rows - taken.num_rows)


def _no_rows(where: str, batch: int, waiting: Sequence[int]) -> str:
    return f"{where}: no rows of batch {batch} wait. Batches with waiting rows: {list(waiting)}."


def _not_replaced(
    held: pa.Table, rows: pa.Table, *, stands: Sequence[bool], key: tuple[str, ...]
) -> pa.Table:
    """Leave out the rows whose place a newer one has taken."""
    if not key:
        return rows if all(stands) else rows.slice(0, 0)
    standing_keys = set(_keys(held.filter(pa.array(stands)), key))
    return rows.filter(pa.array([one in standing_keys for one in _keys(rows, key)], pa.bool_()))


def _held(entries: pa.Table, batch: int, *, waiting: int) -> Held:
    own = entries.filter(pc.equal(entries[BATCH], batch))
    named = {name for text in own["expectation"].to_pylist() for name in text.split(", ")}
    return Held(
        batch=batch,
        rows=own.num_rows,
        waiting=waiting,
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
                f"{where}: {grouped(rows.num_rows)} mended rows for {grouped(held.num_rows)} that wait, and without a "
                "key nobody can tell which are meant. Give all of them back."
            )
            raise DataNotFitError(message)
        return [True] * held.num_rows
    given = _keys(rows, key)
    if strangers := sorted(set(given) - set(_keys(held, key)), key=str):
        message = (
            f"{where}: {grouped(len(strangers))} of {grouped(rows.num_rows)} mended rows have a key that does not wait; "
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
    token: str,
    key: tuple[str, ...],
) -> None:
    number = int(raw.state.get("batch", "0")) + 1
    state = {"batch": str(number), "last_replay": token}
    numbered = rows.append_column(BATCH, pa.array([number] * rows.num_rows, pa.int64()))
    name = raw.ref.name
    # Of a snapshot that was refused as a whole nothing else is in the table.
    alone = raw.state.get("snapshot_batch") == str(batch) and rows.num_rows == raw.ref.rows
    if key:
        tables.upsert(name, numbered, key=key, state=state)
    elif raw.state.get("mode") == "snapshot" and alone:
        tables.overwrite(name, numbered, state=state | {"snapshot_batch": str(number)})
    else:
        tables.append(name, numbered, state=state)


def _marked(
    entries: pa.Table, waiting: pa.Table, *, back: Sequence[bool], batch: int, at: datetime
) -> pa.Table:
    own = entries.filter(pc.equal(entries[BATCH], batch))
    earlier = own.filter(pc.is_valid(own["replayed_at"]))
    times = pa.array([at if returned else None for returned in back], INSTANT)
    index = waiting.schema.get_field_index("replayed_at")
    return pa.concat_tables([earlier, waiting.set_column(index, "replayed_at", times)])
