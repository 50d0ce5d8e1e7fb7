"""Score what has no answer yet, in chunks, each prediction once."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from mlops_dagster.errors import DataNotFitError, redact
from mlops_dagster.records import Outcome, Shown, Snapshot
from mlops_dagster.scoring.loader import ScoringModel, load_verified
from mlops_dagster.serve.answers import Scorer
from mlops_dagster.serve.log_rows import take_log
from mlops_dagster.serve.spec import ServeSpec
from mlops_dagster.stores.registry import CHAMPION
from mlops_dagster.stores.tables import TableVersion, is_unknown
from mlops_dagster.workbench import StepContext

MARKS = ("prediction_id", "input_digest", "model_version")
Join = Callable[[StepContext, pa.Table, Snapshot], pa.Table]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """What one step scored: rows answered live, waiting rows, those made or changed now."""

    live: int
    waiting: int
    fresh: int
    table: TableVersion | None


def run(context: StepContext, spec: ServeSpec, validated: Snapshot, *, join: Join) -> Snapshot:
    """Score the accepted rows whose target is null with the champion.

    A row that has its prediction, by the same version on the same inputs, is left alone; a changed row
    or another champion replaces it. The run setting `window` scores that window again.
    Raises: DataNotFitError for a window that no waiting row falls into.
    """
    registry = context.bench.registry
    version = registry.by_alias(context.model.registered_name, CHAMPION)
    if version is None:
        return no_champion(context, validated)
    champion = load_verified(registry, version)
    with context.lock("predictions"):
        scored = score_waiting(context, spec, validated, champion=champion, join=join)
    return snapshot(context, validated, scored, champion)


def score_waiting(
    context: StepContext,
    spec: ServeSpec,
    validated: Snapshot,
    *,
    champion: ScoringModel,
    join: Join,
) -> Scored:
    """Score the waiting rows chunk by chunk, and write those that are new or changed."""
    name = context.table("predictions")
    scorer = Scorer(model=context.model, champion=champion, window=spec.window, at=context.at)
    asked = context.config.get("window", "")
    only = scorer.window_named(asked) if asked else ""
    folder = context.bench.serving_log(context.model.name, context.model.segment)
    like = context.bench.tables.dataset(
        validated.table.name, version=validated.table.version
    ).schema
    live = take_log(context, scorer, folder, like=like)
    waiting = fresh = 0

    def score(rows: pa.Table) -> pa.Table:
        return scorer.score(join(context, rows, validated))

    # One thread, since equal rows are counted in order: it scores while this one writes.
    chunks = waiting_rows(context, spec, validated)
    for done in context.bench.compute.map_tasks(score, chunks, workers=1):
        made = done.value()
        waiting += made.num_rows
        known = known_marks(context, made)
        wanted = of_window(made, only) if only else not_done(made, known)
        fresh += wanted.num_rows
        if known.num_rows:
            context.bench.tables.upsert(name, wanted, key=["prediction_id"])
        elif wanted.num_rows:
            # A prediction's id names its window, and none of these is there: no key is to be compared.
            context.bench.tables.append(name, wanted)
    if only and not fresh:
        message = (
            f"{context.model.address}: no row without a target falls into the window {asked!r}. "
            "Give the start of a window in UTC, such as 2026-01-31T00:00:00Z."
        )
        raise DataNotFitError(message)
    return Scored(live=live, waiting=waiting, fresh=fresh, table=context.bench.tables.latest(name))


def waiting_rows(context: StepContext, spec: ServeSpec, validated: Snapshot) -> Iterator[pa.Table]:
    """Stream the accepted rows whose target is null, in chunks; a table of many files gives few."""
    source = context.bench.tables.dataset(validated.table.name, version=validated.table.version)
    unknown = is_unknown(source.schema, context.model.target)
    held: list[pa.RecordBatch] = []
    for batch in source.to_batches(filter=unknown, batch_size=spec.chunk_rows):
        if sum(one.num_rows for one in held) + batch.num_rows > spec.chunk_rows:
            yield pa.Table.from_batches(held)
            held = []
        if batch.num_rows:
            held.append(batch)
    if held:
        yield pa.Table.from_batches(held)


def known_marks(context: StepContext, made: pa.Table) -> pa.Table:
    """Read the marks of those predictions that are there already; streams, so memory stays flat."""
    name = context.table("predictions")
    schema = pa.schema([(mark, pa.string()) for mark in MARKS])
    if context.bench.tables.latest(name) is None:
        return schema.empty_table()
    windows, ids = pc.unique(made["window"]), made["prediction_id"].combine_chunks()
    there = context.bench.tables.dataset(name).to_batches(
        columns=list(MARKS), filter=pc.field("window").isin(windows)
    )
    same = [one.filter(pc.is_in(one["prediction_id"], value_set=ids)) for one in there]
    return pa.Table.from_batches(same, schema) if same else schema.empty_table()


def not_done(made: pa.Table, known: pa.Table) -> pa.Table:
    """Keep the predictions that are not there yet: same id, same inputs, same version."""
    done = marks_of(known).combine_chunks()
    return made.filter(pc.invert(pc.is_in(marks_of(made), value_set=done)))


def marks_of(rows: pa.Table) -> pa.ChunkedArray:
    """Say of each prediction what makes it the same."""
    return pc.binary_join_element_wise(*(rows[column] for column in MARKS), "/")


def of_window(made: pa.Table, window: str) -> pa.Table:
    """Keep the predictions of one window."""
    return made.filter(pc.equal(made["window"], window))


def no_champion(context: StepContext, validated: Snapshot) -> Snapshot:
    """Say that nothing serves yet; that is no failure."""
    return Snapshot(
        **context.stamp(),
        data_version="none",
        outcome=Outcome.NOT_APPLICABLE,
        because="No champion yet: nothing was scored.",
        table=validated.table,
        new_rows=0,
        through=validated.through,
        newest=validated.newest,
    )


def snapshot(
    context: StepContext, validated: Snapshot, scored: Scored, champion: ScoringModel
) -> Snapshot:
    """Describe the table of predictions after this step."""
    because = (
        f"{scored.fresh:,} of {scored.waiting:,} rows without an outcome scored by version "
        f"{champion.version}; the others had their prediction."
        if scored.waiting
        else "Every row has its outcome: none was to be scored."
    ) + (f" {scored.live:,} live answers taken from the log." if scored.live else "")
    table = scored.table.ref if scored.table else validated.table
    return Snapshot(
        **context.stamp(),
        data_version=table.digest if scored.table else "none",
        because=because,
        table=table,
        new_rows=scored.fresh + scored.live,
        through=validated.through,
        newest=validated.newest,
        shown={
            "dagster/row_count": Shown(kind="integer", value=table.rows if scored.table else 0),
            "scored now": Shown(kind="integer", value=scored.fresh),
            "answered live": Shown(kind="integer", value=scored.live),
            "without an outcome": Shown(kind="integer", value=scored.waiting),
            "model version": Shown(kind="text", value=champion.version),
            "dagster/uri": Shown(
                kind="text", value=redact(scored.table.uri) if scored.table else ""
            ),
        },
    )
