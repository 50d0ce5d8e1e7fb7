"""Score what has no answer yet, in chunks, each prediction once."""

from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa

from mlops_dagster.errors import DataNotFitError, redact
from mlops_dagster.records import Outcome, Shown, Snapshot
from mlops_dagster.scoring.loader import ScoringModel, load_verified
from mlops_dagster.serve.answers import Scorer
from mlops_dagster.serve.chunks import ChunkScorer, PieceWriter, waiting_rows
from mlops_dagster.serve.known import Known
from mlops_dagster.serve.log_rows import take_log
from mlops_dagster.serve.spec import ServeSpec
from mlops_dagster.stores.registry import CHAMPION
from mlops_dagster.stores.tables import TableVersion
from mlops_dagster.workbench import StepContext

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
    source = context.bench.tables.dataset(validated.table.name, version=validated.table.version)
    live = take_log(context, scorer, folder, like=source.schema)
    chunks = ChunkScorer(
        scorer=scorer,
        known=Known.now(context.bench.tables, name),
        join=lambda rows: join(context, rows, validated),
        only=only,
    )
    rows = waiting_rows(source, target=context.model.target, chunk_rows=spec.chunk_rows)
    writer = PieceWriter(tables=context.bench.tables, name=name)
    waiting = fresh = 0
    for chunk in chunks.each(context.bench.compute, rows):
        waiting += chunk.waiting
        fresh += chunk.made
        writer.put(chunk)
    writer.finish()
    if only and not fresh:
        message = (
            f"{context.model.address}: no row without a target falls into the window {asked!r}. "
            "Give the start of a window in UTC, such as 2026-01-31T00:00:00Z."
        )
        raise DataNotFitError(message)
    return Scored(live=live, waiting=waiting, fresh=fresh, table=context.bench.tables.latest(name))


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
