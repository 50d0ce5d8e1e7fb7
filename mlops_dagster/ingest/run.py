"""Brings what is new at a model's source into its table, in one commit with the cursor."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from mlops_dagster.declaration import ModelIdentity, Task
from mlops_dagster.errors import DataNotFitError
from mlops_dagster.ingest import changes, cursor, sources
from mlops_dagster.ingest.changes import Changes
from mlops_dagster.ingest.columns import Fitted, fit, need_columns, refuse_nulls, together
from mlops_dagster.ingest.cursor import Since
from mlops_dagster.ingest.spec import IngestSpec, LookupSpec
from mlops_dagster.records import Shown, Snapshot, TableRef
from mlops_dagster.stores.content import digest_of_table
from mlops_dagster.stores.described import (
    about_table,
    combined_version,
    grouped,
    moment,
    sample,
    time_span,
)
from mlops_dagster.stores.tables import BATCH, TableStore, TableVersion
from mlops_dagster.workbench import StepContext

NOUN = "raw_data"
_UNTYPED = {Task.BINARY: pa.int64(), Task.MULTICLASS: pa.string(), Task.REGRESSION: pa.float64()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One table that a source is brought into, and what the declaration says of its columns."""

    table: str
    where: str
    key: tuple[str, ...]
    needed: tuple[str | None, ...]
    times: frozenset[str]
    cursor: str | None = None
    event_time: str | None = None
    untyped: Mapping[str, pa.DataType] = field(default_factory=dict)

    @property
    def mode(self) -> str:
        """How new rows meet the old ones: `keyed`, `appended`, or as a whole new `snapshot`."""
        return "keyed" if self.key else "appended" if self.cursor else "snapshot"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a source would change in a table; nothing is written yet."""

    target: Target
    before: TableVersion | None
    found: Changes
    naive: tuple[str, ...]
    read: int
    state: dict[str, str]


def run(context: StepContext, spec: IngestSpec, *, source_rows: object = None) -> Snapshot:
    """Read the source and its lookups, and keep what is new. All is read before any is written.

    The same input again commits nothing and gives the same data version.
    Raises: DataNotFitError or StoreError; the tables are then as they were.
    """
    tables = context.bench.tables
    with context.lock(NOUN):
        target = _own_target(context, spec)
        before = tables.latest(target.table)
        since = _since(target, before, spec)
        given = together(
            sources.read(spec.source, since=since, where=target.where, value=source_rows),
            where=target.where,
        )
        plan = _plan(tables, target, before=before, given=given)
        others = {
            name: _plan_lookup(context, name, lookup) for name, lookup in spec.lookups.items()
        }
        lookups = {name: _commit(tables, other).ref for name, other in others.items()}
        after = _commit(tables, plan)
    return _snapshot(context, spec, plan=plan, after=after, lookups=lookups)


def _own_target(context: StepContext, spec: IngestSpec) -> Target:
    model = context.model
    name = context.table(NOUN)
    return Target(
        table=name,
        where=name,
        key=model.key,
        needed=(*model.key, model.target, model.event_time, spec.cursor),
        times=_times(model, spec),
        cursor=spec.cursor,
        event_time=model.event_time,
        untyped={model.target: _UNTYPED[model.task]},
    )


def _times(model: ModelIdentity, spec: IngestSpec) -> frozenset[str]:
    looked_back = spec.cursor if spec.lookback else None
    return frozenset(one for one in (model.event_time, looked_back) if one)


def _plan_lookup(context: StepContext, name: str, lookup: LookupSpec) -> Plan:
    tables = context.bench.tables
    table = context.table(f"lookup_{name}")
    times = tuple(one for one in (lookup.event_time, lookup.known_at) if one)
    key = tuple(dict.fromkeys((*lookup.key, *times)))
    target = Target(table=table, where=table, key=key, needed=key, times=frozenset(times))
    given = together(sources.read(lookup, since=None, where=table), where=table)
    return _plan(tables, target, before=tables.latest(table), given=given)


def _since(target: Target, before: TableVersion | None, spec: IngestSpec) -> Since | None:
    if target.cursor is None:
        return None
    mark = _mark(target, before)
    value = cursor.start(mark, spec.lookback, where=target.where)
    return Since(column=target.cursor, value=value, inclusive=target.mode == "keyed")


def _mark(target: Target, before: TableVersion | None) -> cursor.CursorValue | None:
    if before is None or target.cursor is None or target.cursor not in before.schema.names:
        return None
    text = before.state.get("cursor")
    return cursor.read_mark(text, before.schema.field(target.cursor).type) if text else None


def _plan(
    tables: TableStore, target: Target, *, before: TableVersion | None, given: pa.Table
) -> Plan:
    if not given.num_rows:
        return _nothing(target, before)
    kept = _own_columns(before.schema) if before else []
    need_columns((*target.needed, *kept), given.column_names, where=target.where)
    fitted = fit(
        given,
        stored=before.schema if before else None,
        times=target.times,
        untyped=target.untyped,
        where=target.where,
    )
    found, state = _compare(tables, target, before=before, fitted=fitted)
    return Plan(
        target=target,
        before=before,
        found=found,
        naive=fitted.naive,
        read=given.num_rows,
        state=state,
    )


def _nothing(target: Target, before: TableVersion | None) -> Plan:
    if before is None:
        message = (
            f"{target.where}: the source is empty, so the table cannot be made. "
            "Check the path, table or query that it reads."
        )
        raise DataNotFitError(message)
    none = Changes(rows=_own_columns_of(before), new=0, corrected=0)
    return Plan(target=target, before=before, found=none, naive=(), read=0, state={})


def _own_columns(schema: pa.Schema) -> list[str]:
    return [name for name in schema.names if name != BATCH]


def _own_columns_of(table: TableVersion) -> pa.Table:
    return table.schema.empty_table().select(_own_columns(table.schema))


def _compare(
    tables: TableStore, target: Target, *, before: TableVersion | None, fitted: Fitted
) -> tuple[Changes, dict[str, str]]:
    rows, where = fitted.rows, target.where
    if target.mode == "keyed":
        refuse_nulls(rows, target.key, where=where, role="key")
        newest_by = [one for one in (target.cursor, target.event_time) if one]
        stored = tables.dataset(target.table, version=before.ref.version) if before else None
        found = changes.by_key(rows, stored, key=target.key, newest_by=newest_by)
        return found, _moved_mark(target, before, rows)
    if target.cursor is not None:
        refuse_nulls(rows, [target.cursor], where=where, role="cursor")
        found = changes.after(rows, column=target.cursor, mark=_mark(target, before))
        return found, _moved_mark(target, before, rows)
    return _whole(before, rows)


def _whole(before: TableVersion | None, rows: pa.Table) -> tuple[Changes, dict[str, str]]:
    digest = digest_of_table(rows)
    # The source's digest, not the table's: mended rows may have been added to the table.
    if before is not None and before.state.get("source_digest") == digest:
        return Changes(rows=rows.slice(0, 0), new=0, corrected=0), {}
    return Changes(rows=rows, new=rows.num_rows, corrected=0), {"source_digest": digest}


def _moved_mark(target: Target, before: TableVersion | None, rows: pa.Table) -> dict[str, str]:
    if target.cursor is None or (top := cursor.highest(rows, target.cursor)) is None:
        return {}
    old = _mark(target, before)
    higher = top if old is None else max(old, top)
    return {"cursor": cursor.write_mark(higher)}


def _commit(tables: TableStore, plan: Plan) -> TableVersion:
    found, target = plan.found, plan.target
    if not found.rows.num_rows and plan.before is not None:
        return plan.before
    batch = last_batch(plan.before) + 1
    state = {**plan.state, "batch": str(batch), "mode": target.mode}
    numbers = pa.array([batch], pa.int64()).take(pa.array([0] * found.rows.num_rows, pa.int64()))
    rows = found.rows.append_column(BATCH, numbers)
    if target.mode == "keyed":
        return tables.upsert(target.table, rows, key=target.key, state=state)
    if target.mode == "appended":
        return tables.append(target.table, rows, state=state)
    return tables.overwrite(target.table, rows, state=state | {"snapshot_batch": str(batch)})


def last_batch(table: TableVersion | None) -> int:
    """Read the number of the last ingest commit; 0 when there was none."""
    return int(table.state.get("batch", "0")) if table else 0


def _snapshot(
    context: StepContext,
    spec: IngestSpec,
    *,
    plan: Plan,
    after: TableVersion,
    lookups: dict[str, TableRef],
) -> Snapshot:
    first, newest = time_span(context.bench.tables, after, plan.target.event_time)
    found = plan.found
    rows = found.rows if found.rows.num_rows else _head(context.bench.tables, after)
    shown = {
        **about_table(after, lookups=lookups),
        "source": Shown(kind="text", value=sources.place(spec.source, where=plan.target.where)),
        "new_rows": Shown(kind="integer", value=found.new),
        "corrected_rows": Shown(kind="integer", value=found.corrected),
        "time_span": Shown(kind="text", value=f"{moment(first)} to {moment(newest)}"),
        "sample": Shown(kind="markdown", value=sample(rows)),
    }
    if plan.naive:
        said = f"{', '.join(plan.naive)}: without a time zone at the source, read as UTC."
        shown["time_zone"] = Shown(kind="text", value=said)
    return Snapshot(
        **context.stamp(),
        data_version=combined_version(after.ref, lookups),
        because=_because(plan, newest=f"; newest {moment(newest)}" if newest else ""),
        shown=shown,
        table=after.ref,
        new_rows=found.new,
        through=last_batch(after),
        newest=newest,
        lookups=lookups,
    )


def _head(tables: TableStore, table: TableVersion) -> pa.Table:
    return tables.dataset(table.ref.name, version=table.ref.version).head(5)


def _because(plan: Plan, *, newest: str) -> str:
    found = plan.found
    twice = (
        f" {grouped(found.twice)} keys came twice with different values; the last one was taken."
        if found.twice
        else ""
    )
    if not found.rows.num_rows:
        return f"Nothing new: {grouped(plan.read)} rows read, all known{newest}.{twice}"
    if plan.target.mode == "snapshot":
        return f"The snapshot was replaced: {grouped(found.new)} rows{newest}.{twice}"
    corrected = f", {grouped(found.corrected)} corrected" if found.corrected else ""
    return f"{grouped(found.new)} new rows{corrected}{newest}.{twice}"
