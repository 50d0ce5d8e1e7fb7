"""`build_lifecycle(spec)`: the only place where the rooms meet, and where they meet Dagster."""

import os
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import dagster as dg

import mlops_dagster.deploy.assets as deploy
import mlops_dagster.evaluate.assets as evaluate
import mlops_dagster.features.assets as features
import mlops_dagster.ingest.assets as ingest
import mlops_dagster.monitor.assets as monitor
import mlops_dagster.register.assets as register
import mlops_dagster.serve.assets as serve
import mlops_dagster.train.assets as train
import mlops_dagster.validate.assets as validate
from mlops_dagster.declaration import LookupJoin
from mlops_dagster.deploy.sensors import Deployed, build_approval_sensor, build_live_sensor
from mlops_dagster.errors import SpecError
from mlops_dagster.notify.run import Told
from mlops_dagster.notify.sensors import build_failure_sensor, build_notify_sensor
from mlops_dagster.records import JSON, Snapshot
from mlops_dagster.resources import MODEL, RECORDS, RECORDS_KEY, SEGMENT, WORKBENCH, WORKBENCH_KEY
from mlops_dagster.retrain.sensors import Watched, build_drift_sensor, build_freshness_sensor
from mlops_dagster.spec import LifecycleSpec
from mlops_dagster.stage import Stage, asset_key, build_stage_asset
from mlops_dagster.workbench import StepContext

if TYPE_CHECKING:
    import pyarrow as pa

    from mlops_dagster.scoring.parity import Answers
    from mlops_dagster.stores.registry import ModelVersion

JOBS: Mapping[str, tuple[str, str]] = {
    "lifecycle": (
        (
            "raw_data validated_data features trained_model evaluation registered_model deployment "
            "predictions labels monitoring"
        ),
        "The whole life: take in rows, judge them, train, judge the model, put it live, score, watch.",
    ),
    "update": (
        "raw_data validated_data predictions labels monitoring",
        "Take in new rows, judge them, score them with the champion, and watch them.",
    ),
    "retrain": (
        "features trained_model evaluation registered_model deployment",
        "Train a candidate on the accepted rows; it goes live only if it passes every gate.",
    ),
    "deploy": ("deployment", "Put the newest accepted version live, if it may."),
    "score": ("predictions", "Score the rows whose target is still unknown."),
    "monitor": (
        "labels monitoring",
        "Take in labels, and look at the age of data and model, at drift and performance.",
    ),
}
_DECLARED: dict[str, LifecycleSpec] = {}
_BUILT: dict[str, Any] = {}
_PREFIXES: dict[str, tuple[str, ...]] = {}


def build_lifecycle(
    spec: LifecycleSpec, *, prefix: Sequence[str] = (), sensors: bool = True
) -> dg.Definitions:
    """Turn one declaration into assets, checks, jobs, schedules and sensors.

    The result merges with any other definitions (`dg.Definitions.merge`). Without `sensors`, give the
    declarations to `build_shared_sensors`: they then serve all models of a location.
    """
    model = spec.identity
    _remember(spec, prefix)
    assets = [build_stage_asset(model, one, prefix=tuple(prefix)) for one in stages_of(spec)]
    jobs = {name: _job(spec, name, prefix=tuple(prefix)) for name in JOBS}
    _BUILT.update({model.job(name): job for name, job in jobs.items()})
    schedules = [
        _schedule(spec, name, cron, job=jobs[name]) for name, cron in spec.schedules.items()
    ]
    watching = build_shared_sensors([spec], name=model.job("")[:-1]) if sensors else []
    return dg.Definitions(
        assets=assets,
        jobs=list(jobs.values()),
        schedules=schedules,
        sensors=[*watching, *_approval_sensor(spec, jobs)],
        resources={WORKBENCH_KEY: WORKBENCH, RECORDS_KEY: RECORDS},
    )


def build_shared_sensors(
    specs: Sequence[LifecycleSpec],
    *,
    name: str = "mlops",
) -> list[dg.SensorDefinition]:
    """Watch several models with the same sensors, once `build_lifecycle` built each."""
    watched = [_watched(one) for one in specs]
    running = any(sensors_run(one) for one in specs)
    every = min(one.automation.every for one in specs)
    wanted = ("update", "retrain")
    # Dagster takes one job of a name, so the sensors must hold the very ones that were built.
    targets = [_BUILT[one.identity.job(job)] for one in specs for job in wanted]
    return [
        build_freshness_sensor(
            watched, name=f"{name}_freshness_sensor", jobs=targets, running=running, interval=every
        ),
        build_drift_sensor(
            watched, name=f"{name}_drift_sensor", jobs=targets, running=running, interval=every
        ),
        build_live_sensor(
            [_deployed(one) for one in specs],
            name=f"{name}_live_sensor",
            jobs=[_BUILT[one.identity.job("deploy")] for one in specs],
            running=running,
            interval=every,
        ),
        *_telling_sensors(specs, name=name, running=running, every=every),
    ]


def _telling_sensors(
    specs: Sequence[LifecycleSpec], *, name: str, running: bool, every: timedelta
) -> list[dg.SensorDefinition]:
    heard = [one for one in specs if one.notify.channels]
    if not heard:
        return []
    told = [
        Told(model=one.identity, spec=one.notify, silence=one.monitor.longest_silence)
        for one in heard
    ]
    jobs = [_BUILT[one.identity.job(job)] for one in heard for job in JOBS]
    return [
        build_notify_sensor(told, name=f"{name}_notify_sensor", running=running, interval=every),
        build_failure_sensor(told, name=f"{name}_failure_sensor", jobs=jobs, running=running),
    ]


def _deployed(spec: LifecycleSpec) -> Deployed:
    model = spec.identity
    key = asset_key(model, "deployment", prefix=_PREFIXES[model.address])
    return Deployed(model=model, spec=spec.deploy, asset=key)


def _approval_sensor(spec: LifecycleSpec, jobs: Mapping[str, Any]) -> list[dg.SensorDefinition]:
    if spec.deploy.promotion != "manual":
        return []
    return [
        build_approval_sensor(
            [spec.identity],
            name=spec.identity.job("approval_sensor"),
            jobs=[jobs["deploy"]],
            running=sensors_run(spec),
            interval=spec.automation.every,
        )
    ]


def stages_of(spec: LifecycleSpec) -> list[Stage]:
    """List the stages of a model's life, each as its room declares it."""
    model = spec.identity
    join = partial(join_inputs, spec)
    joins: JSON = {name: one.model_dump(mode="json") for name, one in joins_of(spec).items()}
    return [
        ingest.build_stage(model, spec.ingest, max_age=spec.monitor.freshness.max_age),
        validate.build_stage(model, spec.validate_),
        features.build_stage(model, spec.features, joins=joins_of(spec)),
        train.build_stage(
            model,
            spec.train,
            functions=spec.features.functions,
            reference_window=spec.monitor.reference_window,
            slices=spec.sliced,
            business=spec.evaluate.business,
        ),
        evaluate.build_stage(model, spec.evaluate),
        register.build_stage(model, promotion=spec.deploy.promotion, serving=_serving(spec)),
        deploy.build_stage(model, spec.deploy, ways=partial(answer_every_way, spec)),
        serve.build_stage(model, spec.serve, join=join, joins=joins),
        *([ingest.build_labels_stage(model, spec.monitor.labels)] if spec.monitor.labels else []),
        monitor.build_stage(
            model, spec.watched, join=join, joins=joins, labels=spec.monitor.labels
        ),
    ]


def _serving(spec: LifecycleSpec) -> JSON:
    return {
        "key": list(spec.key),
        "event_time": spec.event_time,
        "endpoint": spec.serve.endpoint.model_dump(mode="json"),
    }


def joins_of(spec: LifecycleSpec) -> dict[str, LookupJoin]:
    """Say how each second table is joined."""
    fields = LookupJoin.model_fields
    return {
        name: LookupJoin(**{field: getattr(one, field) for field in fields})
        for name, one in spec.ingest.lookups.items()
    }


def join_inputs(
    spec: LifecycleSpec, context: StepContext, rows: "pa.Table", snapshot: Snapshot
) -> "pa.Table":
    """Add to rows what the second tables knew at the rows' own times."""
    from mlops_dagster.scoring.inputs import join_lookups

    return join_lookups(
        rows,
        tables=context.bench.tables,
        compute=context.bench.compute,
        lookups=snapshot.lookups,
        joins=joins_of(spec),
        at=spec.event_time,
    )


def answer_every_way(
    spec: LifecycleSpec, context: StepContext, version: "ModelVersion", rows: "pa.Table"
) -> "Mapping[str, Answers]":
    """Ask a version about rows through the endpoint, the batch step and MLflow."""
    from mlops_dagster.serve.parity import answer_every_way

    return answer_every_way(context.bench, spec.serve.endpoint, version, rows)


def declared() -> Mapping[str, LifecycleSpec]:
    """List what was built in this process, by `name` or `name/segment`."""
    return dict(_DECLARED)


def sensors_run(spec: LifecycleSpec) -> bool:
    """Tell whether the sensors of a model are on at first load."""
    return spec.automation.sensors == "running" or os.environ.get("MLOPS_SENSORS") == "running"


def _remember(spec: LifecycleSpec, prefix: Sequence[str]) -> None:
    name = spec.name if spec.segment == "all" else f"{spec.name}/{spec.segment}"
    _DECLARED[name] = spec
    _PREFIXES[spec.identity.address] = tuple(prefix)


def _job(spec: LifecycleSpec, name: str, *, prefix: tuple[str, ...]) -> Any:
    return dg.define_asset_job(
        spec.identity.job(name),
        selection=_selection(spec, name, prefix=prefix),
        description=JOBS[name][1],
        executor_def=dg.in_process_executor,
        tags={MODEL: spec.name, SEGMENT: spec.segment},
    )


def _selection(spec: LifecycleSpec, name: str, *, prefix: tuple[str, ...]) -> dg.AssetSelection:
    nouns = [one for one in JOBS[name][0].split() if one != "labels" or spec.monitor.labels]
    keys = [asset_key(spec.identity, noun, prefix=prefix) for noun in nouns]
    return dg.AssetSelection.assets(*keys)


def _schedule(spec: LifecycleSpec, name: str, cron: str, *, job: Any) -> dg.ScheduleDefinition:
    try:
        return dg.ScheduleDefinition(
            name=f"{spec.identity.job(name)}_schedule",
            job=job,
            cron_schedule=cron,
            default_status=_schedule_status(spec),
        )
    except dg.DagsterInvalidDefinitionError as error:
        message = (
            f"{spec.name}.schedules.{name}: {cron!r} stood there; needed is a cron line of five fields "
            "in UTC, such as '0 3 * * *' (every day at three)."
        )
        raise SpecError(message) from error


def _schedule_status(spec: LifecycleSpec) -> dg.DefaultScheduleStatus:
    running = spec.automation.sensors == "running"
    return dg.DefaultScheduleStatus.RUNNING if running else dg.DefaultScheduleStatus.STOPPED


def _watched(spec: LifecycleSpec) -> Watched:
    return Watched(
        model=spec.identity,
        policy=spec.retrain,
        max_age=spec.monitor.freshness.max_age,
        source_state=_state_reader(spec),
    )


def _state_reader(spec: LifecycleSpec) -> Callable[[], str | None]:
    def read() -> str | None:
        from mlops_dagster.ingest.arrivals import source_state

        return source_state(spec.identity, spec.ingest)

    return read


__all__ = ["SpecError", "build_lifecycle", "build_shared_sensors", "declared", "stages_of"]
