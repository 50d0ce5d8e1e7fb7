"""Register a candidate with all that explains it: as challenger, or as refused with the reason."""

import json
from collections.abc import Sequence
from pathlib import Path

import pyarrow.compute as pc

from mlops_dagster.records import (
    ACCELERATOR_TAG,
    JSON,
    SERVING_TAG,
    WAITS_TAG,
    Check,
    Evaluation,
    Outcome,
    RegisteredVersion,
    Shown,
    TableRef,
    TrainedModel,
)
from mlops_dagster.register.accelerator import REFUSED, accelerate
from mlops_dagster.register.card import Span, about, write_card
from mlops_dagster.register.rules import (
    Promotion,
    accepted_check,
    alone_check,
    outcome_of,
    record_digest,
    refuse_another_verdict,
    version_tags,
)
from mlops_dagster.scoring.accelerated import Accelerator
from mlops_dagster.scoring.isolation import verify_alone
from mlops_dagster.scoring.loader import check_files
from mlops_dagster.stores.registry import CHALLENGER, ModelVersion
from mlops_dagster.workbench import StepContext


def run(
    context: StepContext,
    trained: TrainedModel,
    evaluation: Evaluation,
    *,
    promotion: Promotion,
    serving: JSON = None,
    onnx_within: float | None = None,
) -> RegisteredVersion:
    """Register a candidate with its verdict; the same trained model again is the same version.

    A refused one is kept with its reason, is never challenger, and stops the run by its check. With
    `onnx_within` an accepted one is also converted, and the endpoint uses that if it answers so alike.
    Raises: GateRefusedError when the verdict is on another model; StoreError when the files changed
    since training; DataNotFitError when the model needs more than its files to answer.
    """
    refuse_another_verdict(trained, evaluation)
    outcome, _ = outcome_of(evaluation)
    if outcome is Outcome.PASSED:
        verify_alone(checked_files(context, trained))
    checks, fast = converted(
        context, trained, accepted=outcome is Outcome.PASSED, within=onnx_within
    )
    card = write_card(
        context.model,
        trained,
        evaluation,
        seen=span_of(context, trained.features),
        held_out=span_of(context, trained.holdout),
    )
    with context.lock("registered_model"):
        version = put_version(context, trained, evaluation, promotion=promotion)
        # The endpoint knows the registry alone, not the declaration.
        tags = {SERVING_TAG: json.dumps(serving), ACCELERATOR_TAG: fast.tag() if fast else ""}
        context.bench.registry.set_tags(version.name, version.version, tags)
        context.bench.registry.set_description(version.name, version.version, card)
        point_challenger(context, version, accepted=outcome is Outcome.PASSED)
    return registered(context, trained, evaluation, version=version, card=card, more=checks)


def converted(
    context: StepContext, trained: TrainedModel, *, accepted: bool, within: float | None
) -> tuple[list[Check], Accelerator | None]:
    """Convert an accepted candidate, where that is declared."""
    if within is None:
        return [], None
    if not accepted:
        return [REFUSED], None
    check, fast = accelerate(context, trained, tolerance=within)
    return [check], fast


def checked_files(context: StepContext, trained: TrainedModel) -> Path:
    """Fetch the candidate's files. Raises: StoreError when they are not what was trained."""
    folder = context.bench.tracking.download(trained.model_uri)
    check_files(folder, sha256=trained.artifact_sha256)
    return folder


def span_of(context: StepContext, ref: TableRef) -> Span:
    """Find the first and the last event time of a table."""
    name = context.model.event_time
    source = context.bench.tables.dataset(ref.name, version=ref.version)
    if name is None or name not in source.schema.names:
        return Span()
    ends = pc.min_max(source.to_table(columns=[name]).column(name)).as_py()
    return Span(first=ends["min"], last=ends["max"])


def put_version(
    context: StepContext, trained: TrainedModel, evaluation: Evaluation, *, promotion: Promotion
) -> ModelVersion:
    """Make the version, or find the one that this model has, and write its tags."""
    registry, name = context.bench.registry, context.model.registered_name
    known = [one for one in registry.versions(name) if one.source == trained.model_uri]
    return registry.create_version(
        name,
        source=trained.model_uri,
        mlflow_run_id=trained.mlflow_run_id,
        model_id=trained.model_id,
        about=about(context.model),
        tags=version_tags(
            trained,
            evaluation,
            promotion=promotion,
            known=known[0].tags if known else {},
            owner=context.owner,
        ),
    )


def point_challenger(context: StepContext, version: ModelVersion, *, accepted: bool) -> None:
    """Point the alias at an accepted version; a refused one does not keep it.

    The version that it leaves waits for nothing any more.
    """
    registry = context.bench.registry
    pointed = registry.by_alias(version.name, CHALLENGER)
    same = pointed is not None and pointed.version == version.version
    if accepted:
        registry.set_alias(version.name, CHALLENGER, version.version)
    elif same:
        registry.delete_alias(version.name, CHALLENGER)
    if accepted and pointed and not same and pointed.tags.get(WAITS_TAG):
        registry.set_tags(pointed.name, pointed.version, {WAITS_TAG: ""})


def registered(
    context: StepContext,
    trained: TrainedModel,
    evaluation: Evaluation,
    *,
    version: ModelVersion,
    card: str,
    more: Sequence[Check] = (),
) -> RegisteredVersion:
    """Write down the version and what it was registered as."""
    outcome, _ = outcome_of(evaluation)
    accepted = accepted_check(evaluation, version=version.version)
    return RegisteredVersion(
        **context.stamp(),
        data_version=record_digest(version.name, version.version, evaluation),
        outcome=outcome,
        because=accepted.because,
        checks=(accepted, alone_check(evaluation), *more),
        shown=shown(context, trained, version, card),
        registered_name=version.name,
        version=version.version,
        model_id=trained.model_id,
        mlflow_run_id=trained.mlflow_run_id,
        artifact_sha256=trained.artifact_sha256,
        judged_against=evaluation.champion_version,
    )


def shown(
    context: StepContext, trained: TrainedModel, version: ModelVersion, card: str
) -> dict[str, Shown]:
    """Say what a person looks for."""
    run_url = context.bench.tracking.run_url(trained.mlflow_run_id)
    place = f"models/{version.name}/versions/{version.version}?{run_url.rpartition('?')[2]}"
    return {
        "version": Shown(kind="text", value=version.version),
        "mlflow version": Shown(kind="url", value=f"{run_url.partition('/#/')[0]}/#/{place}"),
        "mlflow run": Shown(kind="url", value=run_url),
        "load it with": Shown(
            kind="text",
            value=f'mlflow.pyfunc.load_model("models:/{version.name}/{version.version}")',
        ),
        "card": Shown(kind="markdown", value=card),
    }
