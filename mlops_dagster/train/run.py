"""Fit, and log the model with its code, data, profile and provenance."""

import hashlib
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from mlops_dagster.declaration import BusinessValue, write_duration
from mlops_dagster.profiles.answers import write_answers
from mlops_dagster.profiles.reference import write_reference
from mlops_dagster.records import FeatureSet, Outcome, Severity, Shown, TrainedModel
from mlops_dagster.scoring.by_value import (
    explicit_requirements,
    package_model,
    signature_of,
    user_packages_of,
)
from mlops_dagster.scoring.digest import artifact_sha256
from mlops_dagster.scoring.functions import is_user_code
from mlops_dagster.scoring.worth import row_values
from mlops_dagster.stores.tracking import LoggedModel, tracked
from mlops_dagster.train.holdout import answered_holdout
from mlops_dagster.train.learning import Lesson, finite, learn, reference_profile
from mlops_dagster.train.provenance import Provenance, provenance_of
from mlops_dagster.train.spec import TrainSpec
from mlops_dagster.workbench import StepContext


@dataclass(frozen=True, slots=True, kw_only=True)
class Logged:
    """Where a candidate lies, and what proves it."""

    run_id: str
    model: LoggedModel
    sha256: str
    origin: Provenance


def run(
    context: StepContext,
    spec: TrainSpec,
    features: FeatureSet,
    *,
    functions: Sequence[str],
    reference_window: timedelta,
    slices: Sequence[str] = (),
    business: BusinessValue | None = None,
) -> TrainedModel:
    """Fit a candidate and log it; a retry continues the same MLflow run.

    Raises: DataNotFitError when the rows are too few, or the model could not be carried to where it
    serves; SpecError when the estimator does not take its parameters.
    """
    reconcile(context)
    threshold = spec.decides_from(business)
    lesson = learn(context, spec, features, functions=functions, threshold=threshold)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "model"
        package(spec, lesson, folder, optional=(*context.model.key, *lesson.unseen_inputs))
        profile = reference_profile(context, features, lesson, window=reference_window)
        write_reference(folder, profile)
        answers = answered_holdout(
            context.model,
            lesson,
            profile,
            slices=slices,
            window=reference_window,
            worth=row_values(business),
        )
        write_answers(folder, answers)
        logged = log(context, spec, features, lesson, folder=folder)
    return record(context, spec, features, lesson, logged=logged)


def reconcile(context: StepContext) -> None:
    """End the MLflow runs that a killed process of this model left running."""
    model, operations = context.model, context.bench.operations
    ended = context.bench.tracking.reconcile(
        model.name,
        model.segment,
        is_open=lambda run_id: bool(operations.held(f"run:{model.address}:{run_id}")),
    )
    if ended:
        context.log.info(
            "Ended MLflow runs that a killed process left running: %s", ", ".join(ended)
        )


def package(spec: TrainSpec, lesson: Lesson, folder: Path, *, optional: Sequence[str]) -> None:
    """Write the model's files, the user's code in them; a caller may leave out what is `optional`."""
    example = lesson.example()
    package_model(
        lesson.artifact,
        folder,
        user_packages=carried_packages(spec, lesson),
        signature=signature_of(example, lesson.fitted.answers.head(), optional=optional),
        input_example=example,
        requirements=explicit_requirements(spec.estimator),
    )


def carried_packages(spec: TrainSpec, lesson: Lesson) -> list[str]:
    """Name the packages that travel with the model: the feature code's, and a user's own estimator's."""
    packages = set(user_packages_of(lesson.artifact.functions))
    module = sys.modules.get(spec.estimator.rpartition(".")[0])
    if module is not None and is_user_code(module):
        packages.add(module.__name__.partition(".")[0])
    return sorted(packages)


def log(
    context: StepContext, spec: TrainSpec, features: FeatureSet, lesson: Lesson, *, folder: Path
) -> Logged:
    """Write parameters, data versions, provenance and the model to the step's MLflow run."""
    tracking = context.bench.tracking
    origin = provenance_of(source_folder(lesson))
    with tracked(tracking, context.owner) as run_id:
        log_data(context, features, lesson, run_id)
        model = tracking.log_model(run_id, folder, name=context.model.name)
        held_out = {f"holdout.{key}": one for key, one in finite(lesson.fitted.metrics).items()}
        tracking.log(
            run_id,
            params=parameters(spec, lesson),
            metrics={**held_out, "rows.train": len(lesson.parts.train)},
            tags={
                "mlops_dagster.code_digest": features.code_digest,
                "mlops_dagster.data_version": features.data_version,
                "mlops_dagster.git_commit": origin.commit or "unknown",
                "mlops_dagster.git_dirty": str(origin.dirty).lower(),
                "mlops_dagster.asset": f"{context.model.address}/trained_model",
            },
            model_id=model.model_id,
        )
    return Logged(run_id=run_id, model=model, sha256=artifact_sha256(folder), origin=origin)


def log_data(context: StepContext, features: FeatureSet, lesson: Lesson, run_id: str) -> None:
    """Note which rows were learned from, and which were held out."""
    for table, use in ((features.table, "train"), (lesson.holdout, "holdout")):
        context.bench.tracking.log_dataset(
            run_id,
            name=table.name.rpartition("/")[2],
            digest=table.digest,
            source=f"{table.name}@{table.version}",
            rows=table.rows,
            context=use,
        )


def parameters(spec: TrainSpec, lesson: Lesson) -> dict[str, str]:
    """Write down what was fitted, with what."""
    functions = [f"{one.__module__}:{one.__name__}" for one in lesson.artifact.functions]
    return {
        "estimator": spec.estimator,
        **{key: str(value) for key, value in spec.parameters.items()},
        "seed": str(spec.seed),
        "threshold": f"{lesson.artifact.threshold:g}",
        "split": lesson.parts.told,
        "window": write_duration(spec.window) if spec.window else "all",
        "encode": str(spec.encode.model_dump(mode="json")),
        "feature_functions": ", ".join(functions) or "none",
    }


def source_folder(lesson: Lesson) -> Path:
    """Find where the feature code lies; without any, where the process runs."""
    for function in lesson.artifact.functions:
        place = getattr(sys.modules.get(function.__module__), "__file__", None)
        if place:
            return Path(place).parent
    return Path.cwd()


def record(
    context: StepContext, spec: TrainSpec, features: FeatureSet, lesson: Lesson, *, logged: Logged
) -> TrainedModel:
    """Write down what was made, of what."""
    told = [features.data_version, spec.settings, spec.seed]
    if lesson.artifact.threshold != 0.5:
        told.append(lesson.artifact.threshold)
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
    rows = len(lesson.parts.train)
    refused = lesson.apart.outcome is Outcome.REFUSED and lesson.apart.severity is Severity.CRITICAL
    notes = " ".join(filter(None, [lesson.parts.note, unseen_told(lesson)]))
    fitted = f"Fitted on {rows:,} rows, {len(lesson.parts.holdout):,} held out. {notes}"
    return TrainedModel(
        **context.stamp(),
        data_version=f"v1:{digest[:32]}",
        outcome=Outcome.REFUSED if refused else Outcome.PASSED,
        because=lesson.apart.because if refused else fitted.strip(),
        checks=(lesson.apart,),
        shown=shown(context, spec, lesson, logged),
        mlflow_run_id=logged.run_id,
        model_id=logged.model.model_id,
        model_uri=logged.model.uri,
        artifact_sha256=logged.sha256,
        features=features.table,
        holdout=lesson.holdout,
        source_digest=features.source.digest,
        code_digest=features.code_digest,
        git_commit=logged.origin.commit,
        git_dirty=logged.origin.dirty,
        rows=rows,
        since=lesson.parts.since,
    )


def unseen_told(lesson: Lesson) -> str:
    """Name the features that no row learned from has a value of, such as a new column's."""
    if not lesson.fitted.unseen:
        return ""
    named = ", ".join(map(repr, lesson.fitted.unseen))
    return f"Left out, as no row learned from has a value: {named}."


def window_told(spec: TrainSpec, lesson: Lesson) -> str:
    """Say how far back it learned."""
    if spec.window is None or lesson.parts.since is None:
        return "all history"
    return f"the newest {write_duration(spec.window)}, from {lesson.parts.since:%Y-%m-%d} on"


def shown(
    context: StepContext, spec: TrainSpec, lesson: Lesson, logged: Logged
) -> dict[str, Shown]:
    """Say what a person looks for: the MLflow run, the rows, the commit, the holdout's metrics."""
    commit = logged.origin.commit[:12] or "no git repository"
    dirty = ", with changes that are not committed" if logged.origin.dirty else ""
    return {
        "mlflow run": Shown(kind="url", value=context.bench.tracking.run_url(logged.run_id)),
        "mlflow run id": Shown(kind="text", value=logged.run_id),
        "model": Shown(kind="text", value=logged.model.load_uri),
        "estimator": Shown(kind="text", value=spec.estimator),
        "training rows": Shown(kind="integer", value=len(lesson.parts.train)),
        "training window": Shown(kind="text", value=window_told(spec, lesson)),
        "holdout rows": Shown(kind="integer", value=len(lesson.parts.holdout)),
        "git commit": Shown(kind="text", value=f"{commit}{dirty}"),
        **{
            f"holdout {name}": Shown(kind="number", value=value)
            for name, value in finite(lesson.fitted.metrics).items()
        },
    }
