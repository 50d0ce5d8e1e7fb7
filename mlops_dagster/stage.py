"""How any room becomes a Dagster asset: one shape for all, so that a room writes only what it does.

A room gives a `Stage`: what it needs, what it checks, and a Dagster-free `run`. The asset made here
loads the records, reuses work whose inputs, code and settings are unchanged, holds a lease while it
works, and gives Dagster the record, its checks, metadata and data version.
"""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import dagster as dg

from mlops_dagster.clock import wall_now
from mlops_dagster.declaration import ModelIdentity
from mlops_dagster.errors import MlopsError, StoreError
from mlops_dagster.records import FORMAT, JSON, NOUNS, Finding, Outcome, Record
from mlops_dagster.resources import (
    MODEL,
    NOUN,
    RECORDS_KEY,
    RESUMED,
    SEGMENT,
    TAKES_REFUSED,
    WORKBENCH_KEY,
)
from mlops_dagster.shown import materialize_result
from mlops_dagster.workbench import StepContext, Workbench

STAGE_TAG = "mlops_dagster/stage"
WATCHED = frozenset({"raw_data", "validated_data", "features", "predictions"})
"""The nouns whose failed checks are findings. A refused candidate is not: it would ask for itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageCheck:
    """One rule of a stage, known before anything runs. A `blocking` one stops what comes after."""

    name: str
    description: str
    blocking: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One step of a model's life.

    `needs` are the nouns whose records `run` is given, in order; `after` are only waited for.
    `takes_refused` are the needs that may have been refused. `settings` is what of the declaration
    decides the result. `identify` adds what else does (data versions, the champion, code digests);
    a stage without it is never reused. `lost` looks at what a record of earlier names, and says what of
    it is not there any more: such work is done again. `config` names run settings (text) and describes them.
    `assets` are somebody else's assets by their keys: their values reach `run` as keywords.
    """

    noun: str
    room: str
    description: str
    run: Callable[..., Record]
    kinds: frozenset[str] = frozenset()
    needs: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    assets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    takes_refused: frozenset[str] = frozenset()
    checks: tuple[StageCheck, ...] = ()
    settings: JSON = None
    identify: Callable[..., JSON] | None = None
    lost: Callable[[StepContext, Any], str] | None = None
    code_version: str = "1"
    config: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    max_age: timedelta | None = None


def asset_key(model: ModelIdentity, noun: str, *, prefix: tuple[str, ...] = ()) -> dg.AssetKey:
    """Address an asset: `[*prefix, model, noun]`, with the segment between when there is one."""
    segment = () if model.segment == "all" else (model.segment,)
    return dg.AssetKey([*prefix, model.name, *segment, noun])


def build_stage_asset(
    model: ModelIdentity, stage: Stage, *, prefix: tuple[str, ...] = ()
) -> dg.AssetsDefinition:
    """Make the asset of one stage of one model."""
    key = asset_key(model, stage.noun, prefix=prefix)

    def step(context: dg.AssetExecutionContext, **given: Any) -> object:
        records = [given[noun] for noun in stage.needs]
        values = {name: given[name] for name in stage.assets}
        try:
            record = perform(step_context(context, model, stage), stage, records, values)
        except MlopsError as error:
            raise as_failure(error) from error
        return materialize_result(record, [check.name for check in stage.checks])

    step.__name__ = "__".join(key.path)
    # With check_specs Dagster reads a return annotation as the outputs' types and wants a tuple.
    del step.__annotations__["return"]
    decorate = dg.asset(
        key=key,
        ins={
            noun: dg.AssetIn(
                key=asset_key(model, noun, prefix=prefix),
                metadata={TAKES_REFUSED: noun in stage.takes_refused},
            )
            for noun in stage.needs
        }
        | {name: dg.AssetIn(key=dg.AssetKey(path)) for name, path in stage.assets.items()},
        deps=[asset_key(model, noun, prefix=prefix) for noun in stage.after],
        description=stage.description,
        group_name=model.name,
        owners=list(model.owners),
        kinds=set(stage.kinds),
        tags={STAGE_TAG: stage.room},
        metadata={
            MODEL: model.name,
            SEGMENT: model.segment,
            NOUN: stage.noun,
            **stage.metadata,
        },
        code_version=stage.code_version,
        config_schema={
            name: dg.Field(str, is_required=False, description=text)
            for name, text in stage.config.items()
        },
        check_specs=[
            dg.AssetCheckSpec(
                check.name, asset=key, description=check.description, blocking=check.blocking
            )
            for check in stage.checks
        ],
        required_resource_keys={WORKBENCH_KEY},
        io_manager_key=RECORDS_KEY,
        freshness_policy=(
            dg.FreshnessPolicy.time_window(fail_window=stage.max_age) if stage.max_age else None
        ),
    )
    return decorate(step)


def step_context(
    context: dg.AssetExecutionContext, model: ModelIdentity, stage: Stage
) -> StepContext:
    """Say which run and step this is, without Dagster."""
    run = context.run
    resumed = run.tags.get(RESUMED) == "true"
    bench: Workbench = getattr(context.resources, WORKBENCH_KEY).open()
    return StepContext(
        model=model,
        bench=bench,
        run_id=run.run_id,
        root_run_id=(run.root_run_id if resumed else None) or run.run_id,
        noun=stage.noun,
        log=context.log,
        config=context.op_execution_context.op_config or {},
    )


def perform(
    context: StepContext, stage: Stage, inputs: list[Record], values: Mapping[str, Any]
) -> Record:
    """Do the stage's work under a lease, or show the same work's record again."""
    lease = f"run:{context.model.address}:{context.run_id}"
    with context.bench.operations.hold(lease, holder=context.run_id):
        mark = fingerprint(context, stage, inputs)
        if mark and (same := recall(context, stage, mark)):
            context.log.info(same.reused)
            return same
        record = stage.run(context, *inputs, **values)
        if stage.noun in WATCHED:
            context.bench.operations.add_findings(failed_checks(context, record))
    return dataclasses.replace(record, fingerprint=mark)


def failed_checks(context: StepContext, record: Record) -> list[Finding]:
    """Turn the checks that data failed into findings. They can ask for a retrain if it was let through."""
    kept_out = record.outcome is Outcome.REFUSED
    return [
        Finding(
            model=context.model.name,
            segment=context.model.segment,
            signal="refused_data" if kept_out else "failed_check",
            subject=f"{context.noun}.{check.name}",
            outcome=Outcome.REFUSED,
            value=None,
            limit=None,
            rows=0,
            window_start=None,
            window_end=record.made_at,
            at=record.made_at,
            because=f"{check.name}: {check.because}",
        )
        for check in record.checks
        if check.outcome is Outcome.REFUSED
    ]


def fingerprint(context: StepContext, stage: Stage, inputs: list[Record]) -> str:
    """Digest all that decides a stage's result; empty when that cannot be known before."""
    if stage.identify is None:
        return ""
    told = [
        FORMAT,
        stage.noun,
        stage.code_version,
        stage.settings,
        context.model.model_dump(mode="json", exclude={"owners", "description"}),
        dict(context.config),
        stage.identify(context, *inputs),
    ]
    return hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()


def recall(context: StepContext, stage: Stage, mark: str) -> Record | None:
    """Find the record of the same work, marked as reused with the reason.

    None when there is none, or when what it made is not there any more.
    """
    model, bench = context.model, context.bench
    path = bench.operations.recall(model.name, model.segment, stage.noun, fingerprint=mark)
    if path is None:
        return None
    old = bench.records.read(path, NOUNS[stage.noun])
    if stage.lost and (lost := stage.lost(context, old)):
        context.log.warning("The %s of run %s is made again: %s", stage.noun, old.run_id[:8], lost)
        return None
    why = (
        f"Reused the {stage.noun} made in run {old.run_id[:8]}: the data versions, the code and the "
        "settings it depends on are unchanged."
    )
    return dataclasses.replace(
        old, reused=why, run_id=context.run_id, recorded_at=wall_now(), fingerprint=mark
    )


def as_failure(error: MlopsError) -> dg.Failure:
    """Stop the step with the sentence a person needs; only an unreachable store is worth a retry."""
    return dg.Failure(description=str(error), allow_retries=isinstance(error, StoreError))
