"""Brings what is new at a model's source into its table, in one commit with the cursor."""

import json
from dataclasses import replace

import pyarrow as pa

from mlops_dagster.declaration import ModelIdentity, Task
from mlops_dagster.ingest import cursor, sources
from mlops_dagster.ingest.arrivals import source_state
from mlops_dagster.ingest.cursor import Since
from mlops_dagster.ingest.news import judge_source, told
from mlops_dagster.ingest.plan import Plan, Target, make_plan, read_mark
from mlops_dagster.ingest.spec import IngestSpec, LookupSpec
from mlops_dagster.ingest.zones import Zone
from mlops_dagster.records import Shown, Snapshot, TableRef
from mlops_dagster.stores.described import (
    about_table,
    combined_version,
    moment,
    sample,
    time_span,
)
from mlops_dagster.stores.held_rows import KEY, QUARANTINE
from mlops_dagster.stores.tables import BATCH, TableStore, TableVersion
from mlops_dagster.workbench import StepContext

NOUN = "raw_data"
_UNTYPED = {Task.BINARY: pa.int64(), Task.MULTICLASS: pa.string(), Task.REGRESSION: pa.float64()}


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
        state = _state(context, spec)  # before the rows: what comes between is new
        given = sources.read_whole(
            spec.source,
            since=since,
            stored=before.schema if before else None,
            where=target.where,
            times=target.times,
            value=source_rows,
        )
        plan = make_plan(tables, target, before=before, given=given)
        others = {
            name: _plan_lookup(context, name, lookup) for name, lookup in spec.lookups.items()
        }
        lookups = {name: _commit(tables, other).ref for name, other in others.items()}
        after = _commit(tables, plan)
    found = _snapshot(context, spec, plan=plan, after=after, lookups=lookups)
    return replace(found, source_state=state)


def _state(context: StepContext, spec: IngestSpec) -> str | None:
    """Ask the source for its state, which only spares a run: the rows are read without it too."""
    try:
        return source_state(context.model, spec)
    except Exception as error:  # noqa: BLE001 - a state of the user's own may raise anything
        told = f"{type(error).__name__}: {error}"
        context.log.warning(f"{NOUN}: the source could not tell its state, so it is read. {told}")
        return None


def _own_target(context: StepContext, spec: IngestSpec) -> Target:
    model = context.model
    name = context.table(NOUN)
    return Target(
        table=name,
        where=name,
        key=model.key,
        needed=(*model.key, model.event_time, spec.cursor),
        times=_times(model, spec),
        cursor=spec.cursor,
        event_time=model.event_time,
        label=model.target,
        untyped={model.target: _UNTYPED[model.task]},
        whole=sources.is_whole(spec.source, cursor=spec.cursor, keyed=bool(model.key), where=name),
        without=spec.without,
        quarantine=context.table(QUARANTINE),
    )


def _times(model: ModelIdentity, spec: IngestSpec) -> frozenset[str]:
    looked_back = spec.cursor if spec.lookback else None
    return frozenset(one for one in (model.event_time, looked_back) if one)


def _plan_lookup(context: StepContext, name: str, lookup: LookupSpec) -> Plan:
    tables = context.bench.tables
    table = context.table(f"lookup_{name}")
    times = tuple(one for one in (lookup.event_time, lookup.known_at) if one)
    key = tuple(dict.fromkeys((*lookup.key, *times)))
    target = Target(
        table=table, where=table, key=key, needed=key, times=frozenset(times), whole=True
    )
    before = tables.latest(table)
    stored = before.schema if before else None
    given = sources.read_whole(lookup, since=None, stored=stored, where=table, times=times)
    return make_plan(tables, target, before=before, given=given)


def _since(target: Target, before: TableVersion | None, spec: IngestSpec) -> Since | None:
    if target.cursor is None:
        return None
    value = cursor.start(read_mark(target, before), spec.lookback, where=target.where)
    return Since(column=target.cursor, value=value)


def _commit(tables: TableStore, plan: Plan) -> TableVersion:
    found, target = plan.found, plan.target
    if not found.parts and plan.before is not None:
        return plan.before
    batch = last_batch(plan.before) + 1
    rows = pa.concat_tables(
        [
            part.append_column(BATCH, pa.array([number] * part.num_rows, pa.int64()))
            for number, part in enumerate(found.parts, start=batch)
        ]
    )
    state = {
        **plan.state,
        "batch": str(batch + len(found.parts) - 1),
        "mode": target.mode,
        KEY: json.dumps(target.key),
    }
    if target.mode == "keyed":
        return tables.upsert(target.table, rows, key=target.key, state=state, widening=True)
    if target.mode == "appended":
        return tables.append(target.table, rows, state=state, widening=True)
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
    rows = found.parts[0] if found.parts else _head(context.bench.tables, after)
    shown = {
        **about_table(after, lookups=lookups),
        "source": Shown(kind="text", value=sources.place(spec.source, where=plan.target.where)),
        "new_rows": Shown(kind="integer", value=found.new),
        "corrected_rows": Shown(kind="integer", value=found.corrected),
        "time_span": Shown(kind="text", value=f"{moment(first)} to {moment(newest)}"),
        "sample": Shown(kind="markdown", value=sample(rows)),
    }
    if naive := [name for name, zone in plan.zones.items() if zone is not Zone.GIVEN]:
        said = f"{', '.join(naive)}: without a time zone at the source, read as UTC."
        shown["time_zone"] = Shown(kind="text", value=said)
    return Snapshot(
        **context.stamp(),
        data_version=combined_version(after.ref, lookups),
        because=told(plan, newest=moment(newest) if newest else ""),
        checks=(judge_source(plan),),
        shown=shown,
        table=after.ref,
        new_rows=found.new,
        through=last_batch(after),
        newest=newest,
        lookups=lookups,
    )


def _head(tables: TableStore, table: TableVersion) -> pa.Table:
    return tables.dataset(table.ref.name, version=table.ref.version).head(5)
