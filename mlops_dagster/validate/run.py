"""Judges each batch of `raw_data` that was not judged yet, alone, and takes over what is accepted."""

from collections.abc import Callable, Sequence

import pandas as pd
import pyarrow as pa
import pyarrow.dataset as pads

from mlops_dagster.records import JSON, Outcome, Shown, Snapshot
from mlops_dagster.stores.described import (
    about_table,
    combined_version,
    grouped,
    moment,
    sample,
    time_span,
)
from mlops_dagster.stores.held_rows import QUARANTINE
from mlops_dagster.stores.tables import BATCH, TableStore, TableVersion
from mlops_dagster.validate.quarantine import keep_out
from mlops_dagster.validate.report import write_report
from mlops_dagster.validate.ruling import Ruling, checks, rule
from mlops_dagster.validate.spec import ExpectationSpec, ValidateSpec
from mlops_dagster.validate.suite_file import expectations_of
from mlops_dagster.workbench import StepContext

NOUN = "validated_data"
JUDGED_TO = "judged_to"
ACCEPTED_TO = "accepted_to"


def run(context: StepContext, spec: ValidateSpec, raw: Snapshot) -> Snapshot:
    """Judge what is new, send refused rows to quarantine, and keep the rest.

    Quarantine is written before the batch is marked as judged, so that a killed step repeats the batch
    and loses no row. A refused batch leaves the accepted rows as they are.
    Raises: SpecError when Great Expectations does not take an expectation.
    """
    where = f"{context.model.name}.validate"
    expectations = expectations_of(spec, where=where)
    tables = context.bench.tables
    with context.lock(NOUN):
        before = tables.latest(context.table(NOUN))
        source = tables.at(raw.table.name, raw.table.version)
        batches = _unjudged(tables, source, before, through=raw.through)
        rulings = _judge(context, source, batches, expectations=expectations)
        after = tables.latest(context.table(NOUN)) or _empty(context, source)
    return _snapshot(context, raw, rulings=rulings, after=after)


def described(spec: ValidateSpec, raw: Snapshot, *, where: str) -> JSON:
    """Say what decides the result: the exact rows and the suite, as its file says it now."""
    suite: list[JSON] = [one.model_dump(mode="json") for one in expectations_of(spec, where=where)]
    return {
        "table": raw.table.name,
        "version": raw.table.version,
        "digest": raw.data_version,
        "suite": suite,
    }


def _unjudged(
    tables: TableStore, source: TableVersion, before: TableVersion | None, *, through: int
) -> list[int]:
    judged_to = int(before.state.get(JUDGED_TO, "0")) if before else 0
    if judged_to >= through:
        return []
    rows = tables.dataset(source.ref.name, version=source.ref.version)
    new = (pads.field(BATCH) > judged_to) & (pads.field(BATCH) <= through)
    return sorted(set(rows.to_table(columns=[BATCH], filter=new)[BATCH].to_pylist()))


def _judge(
    context: StepContext,
    source: TableVersion,
    batches: Sequence[int],
    *,
    expectations: Sequence[ExpectationSpec],
) -> list[Ruling]:
    if not batches:
        return []
    judge = _judging(expectations, where=f"{context.model.name}.validate")
    stored = context.bench.tables.dataset(source.ref.name, version=source.ref.version)
    rulings = []
    for batch in batches:
        rows = stored.to_table(filter=pads.field(BATCH) == batch)
        ruling = judge(batch, rows)
        context.log.info(ruling.because)
        _keep(context, source, rows, ruling=ruling)
        rulings.append(ruling)
    return rulings


def _judging(
    expectations: Sequence[ExpectationSpec], *, where: str
) -> Callable[[int, pa.Table], Ruling]:
    if not expectations:
        return lambda batch, rows: rule(batch, rows.num_rows, [])
    # Only now: Great Expectations takes seconds to import.
    from mlops_dagster.validate.suite import judge_with

    judge = judge_with(expectations, where=where)

    def ruled(batch: int, rows: pa.Table) -> Ruling:
        frame: pd.DataFrame = rows.drop_columns([BATCH]).to_pandas()
        return rule(batch, rows.num_rows, judge(frame))

    return ruled


def _keep(context: StepContext, source: TableVersion, rows: pa.Table, *, ruling: Ruling) -> None:
    """Write the quarantine first, then the accepted rows with the mark that the batch was judged."""
    tables, name = context.bench.tables, context.table(NOUN)
    with context.lock(QUARANTINE):
        keep_out(
            tables,
            context.table(QUARANTINE),
            rows,
            complaints=ruling.kept_out,
            batch=ruling.batch,
            at=context.at,
            refused=not ruling.accepted,
        )
    state = {JUDGED_TO: str(ruling.batch)}
    if not ruling.accepted:
        tables.append(name, rows.slice(0, 0), state=state)
        return
    state |= {ACCEPTED_TO: str(ruling.batch)}
    kept = rows.take(
        pa.array([i for i in range(rows.num_rows) if i not in ruling.kept_out], pa.int64())
    )
    if context.model.key:
        tables.upsert(name, kept, key=context.model.key, state=state, widening=True)
    elif source.state.get("snapshot_batch") == str(ruling.batch):
        tables.overwrite(name, kept, state=state)
    else:
        tables.append(name, kept, state=state, widening=True)


def _empty(context: StepContext, source: TableVersion) -> TableVersion:
    return context.bench.tables.append(context.table(NOUN), source.schema.empty_table())


def _snapshot(
    context: StepContext, raw: Snapshot, *, rulings: Sequence[Ruling], after: TableVersion
) -> Snapshot:
    tables = context.bench.tables
    first, newest = time_span(tables, after, context.model.event_time)
    accepted = [one for one in rulings if one.accepted]
    refused = bool(rulings) and not accepted
    nothing_yet = not rulings and ACCEPTED_TO not in after.state
    verdicts = checks(rulings)
    shown = {
        **about_table(after, lookups=raw.lookups),
        "accepted_rows": Shown(kind="integer", value=sum(one.accepted_rows for one in rulings)),
        "quarantined_rows": Shown(kind="integer", value=sum(len(one.kept_out) for one in rulings)),
        "judged_batches": Shown(kind="json", value=[one.batch for one in rulings]),
        "time_span": Shown(kind="text", value=f"{moment(first)} to {moment(newest)}"),
        "sample": Shown(
            kind="markdown",
            value=sample(tables.dataset(after.ref.name, version=after.ref.version).head(5)),
        ),
    }
    if rulings:
        page = write_report(context, rulings=rulings, checks=verdicts)
        shown["report"] = Shown(kind="path", value=str(page))
    return Snapshot(
        **context.stamp(),
        data_version=combined_version(after.ref, raw.lookups),
        outcome=Outcome.REFUSED if refused or nothing_yet else Outcome.PASSED,
        because=_because(rulings, after),
        checks=verdicts,
        shown=shown,
        table=after.ref,
        new_rows=sum(one.accepted_rows for one in rulings),
        through=int(after.state.get(ACCEPTED_TO, "0")),
        newest=newest,
        lookups=raw.lookups,
    )


def _because(rulings: Sequence[Ruling], after: TableVersion) -> str:
    if rulings:
        bare = "" if any(one.verdicts for one in rulings) else " No expectations are declared."
        return " ".join(one.because for one in rulings) + bare
    if ACCEPTED_TO not in after.state:
        return (
            "Nothing new to judge, and every batch so far was refused. Mend the source or replay."
        )
    return (
        f"Nothing new to judge: {grouped(after.ref.rows)} accepted rows, "
        f"the last from batch {after.state[ACCEPTED_TO]}."
    )
