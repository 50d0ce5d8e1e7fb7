"""Judge a candidate on the rows that it has not seen."""

import hashlib
import json
import math
import re
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from mlops_dagster.declaration import BUSINESS
from mlops_dagster.errors import DataNotFitError
from mlops_dagster.evaluate.importance import importances
from mlops_dagster.evaluate.pictures import View, draw_all
from mlops_dagster.evaluate.rules import Scores, check_names, conclude, judge
from mlops_dagster.evaluate.scoring import (
    Answers,
    Asked,
    answer,
    answers_of,
    ask_champion,
    baselines,
    quality,
    slice_scores,
)
from mlops_dagster.evaluate.show import comparison, slices_table
from mlops_dagster.evaluate.spec import EvaluateSpec, Threshold
from mlops_dagster.metrics.losses import loss_name
from mlops_dagster.metrics.quality import metrics_for
from mlops_dagster.records import Check, Evaluation, FeatureSet, Outcome, Shown, TrainedModel
from mlops_dagster.scoring.feature_rows import PREFIX, FeatureRows
from mlops_dagster.scoring.inputs import as_given
from mlops_dagster.scoring.isolation import warm_up
from mlops_dagster.scoring.loader import ScoringModel, open_trained
from mlops_dagster.scoring.worth import row_values
from mlops_dagster.stores.content import row_marks
from mlops_dagster.stores.registry import CHAMPION
from mlops_dagster.stores.tracking import tracked
from mlops_dagster.workbench import StepContext


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """Where a verdict was logged, and its picture in markdown."""

    run_id: str
    picture: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Exam:
    """A candidate, the rows that it is judged on, and its answers."""

    candidate: ScoringModel
    holdout: FeatureRows
    truth: np.ndarray
    answers: Answers
    metrics: tuple[str, ...]

    @property
    def labels(self) -> Sequence[Any]:
        """The classes."""
        return self.candidate.labels


def run(
    context: StepContext, spec: EvaluateSpec, trained: TrainedModel, features: FeatureSet
) -> Evaluation:
    """Measure the candidate, two baselines and the champion on the holdout, and judge the gates.

    Raises: DataNotFitError when a slice's column is not there; StoreError when the candidate's files
    are not those that were trained.
    """
    gates = spec.gates_of(context.model.task)
    told = spec.model_copy(update={"gates": gates})
    exam = sit(context, told, trained)
    scores = score(context, told, exam, trained, features)
    names = check_names(gates)
    checks = tuple(judge(gate, scores, name=n) for gate, n in zip(gates, names, strict=True))
    verdict = conclude(gates, checks, scores)
    if verdict[0] is Outcome.PASSED:
        # Registration asks a process of its own, whose libraries can load while pictures are drawn.
        warm_up()
    drawn = log(context, exam, scores, trained)
    return record(context, told, trained, scores, checks=checks, verdict=verdict, drawn=drawn)


def sit(context: StepContext, spec: EvaluateSpec, trained: TrainedModel) -> Exam:
    """Let the candidate answer the holdout through its own files, as it will when it serves."""
    holdout = FeatureRows.read(context.bench.tables, trained.holdout)
    missing = [name for name in sliced(spec) if name not in holdout.table.column_names]
    if missing:
        where = f"{context.model.address}/evaluate.slices"
        raise DataNotFitError.missing_columns(where, missing, holdout.table.column_names)
    candidate = open_trained(
        context.bench.tracking.download(trained.model_uri), sha256=trained.artifact_sha256
    )
    return Exam(
        candidate=candidate,
        holdout=holdout,
        truth=holdout.column(context.model.target).to_numpy(),
        answers=answers_of(answer(candidate, holdout)),
        metrics=wanted(context, spec),
    )


def wanted(context: StepContext, spec: EvaluateSpec) -> tuple[str, ...]:
    """List what is measured: what was declared and what gates need; else all of the task."""
    asked = spec.metrics or metrics_for(context.model.task)
    if set(asked) == {BUSINESS}:
        asked = (BUSINESS, loss_name(context.model.task))
    of_gates = (gate.metric for gate in spec.gates or ())
    return tuple(dict.fromkeys([*asked, *of_gates, *spec.own_metrics]))


def sliced(spec: EvaluateSpec) -> dict[str, int]:
    """Name the columns that are measured by value, and how many rows a value has that a gate judges."""
    enough: dict[str, int] = {}
    for gate in spec.gates or ():
        if isinstance(gate, Threshold) and gate.slice:
            known = enough.get(gate.slice, gate.minimum_rows)
            enough[gate.slice] = min(known, gate.minimum_rows)
    return dict.fromkeys(spec.slices, sys.maxsize) | enough


def score(
    context: StepContext,
    spec: EvaluateSpec,
    exam: Exam,
    trained: TrainedModel,
    features: FeatureSet,
) -> Scores:
    """Measure everybody on the same rows."""
    rivals = baselines(
        context.model,
        training_rows(context, trained, features, exam.holdout),
        exam.holdout,
        columns=exam.candidate.columns,
        texts=exam.candidate.artifact.texts,
        labels=exam.labels,
    )
    version = context.bench.registry.by_alias(context.model.registered_name, CHAMPION)
    champion = (
        ask_champion(context.bench.registry, version, exam.holdout, exam.labels)
        if version
        else Asked()
    )
    worth = row_values(spec.business)

    def of(one: Answers, labels: Sequence[Any] = exam.labels) -> dict[str, float]:
        return quality(exam.metrics, exam.truth, one, labels, worth=worth)

    return Scores(
        candidate=of(exam.answers),
        dummy=of(rivals["dummy"]),
        simple=of(rivals["simple"]),
        champion=of(champion.answers, champion.labels) if champion.answers else None,
        champion_version=version.version if version else None,
        champion_problem=champion.problem,
        champion_gone=champion.gone,
        champion_notes=champion.notes,
        slices=slice_scores(
            exam.holdout,
            exam.answers,
            truth=exam.truth,
            columns=sliced(spec),
            metrics=exam.metrics,
            labels=exam.labels,
            worth=worth,
        ),
    )


def training_rows(
    context: StepContext, trained: TrainedModel, features: FeatureSet, holdout: FeatureRows
) -> FeatureRows:
    """Read the rows that the candidate was fitted on: all in its window that are not in the holdout.

    Told apart by content as Arrow has it: pandas turns whole numbers into others beside a null.
    """
    made = [name for name in holdout.table.column_names if name.startswith(PREFIX)]
    key = list(context.model.key) or holdout.table.column_names
    timed = [str(context.model.event_time)] if trained.since else []
    names = dict.fromkeys([*key, *made, context.model.target, *timed])
    rows = context.bench.tables.read(
        features.table.name, version=trained.features.version, columns=list(names)
    )
    known, held = (row_marks(table.select(key)) for table in (rows, holdout.table))
    learned = ~np.isin(known, held)
    if trained.since is not None:
        times = as_given(rows.select(timed))[timed[0]]
        learned &= (times >= pd.Timestamp(trained.since)).to_numpy()
    return FeatureRows(table=rows.filter(pa.array(learned)))


def log(context: StepContext, exam: Exam, scores: Scores, trained: TrainedModel) -> Drawn:
    """Write metrics and pictures to the step's MLflow run; give it, and one small picture."""
    with tempfile.TemporaryDirectory() as place:
        picture = draw_all(view_of(exam, scores), Path(place))
        with tracked(context.bench.tracking, context.owner) as run_id:
            context.bench.tracking.log_files(run_id, Path(place), under="pictures")
            context.bench.tracking.log(
                run_id, metrics=all_metrics(scores), model_id=trained.model_id
            )
    return Drawn(run_id=run_id, picture=picture)


def view_of(exam: Exam, scores: Scores) -> View:
    """Gather what is drawn."""
    # A value of decisions jumps where a probability crosses the threshold: no measure of a feature.
    metric = next(name for name in exam.metrics if name != BUSINESS)
    return View(
        truth=exam.truth,
        prediction=exam.answers.prediction,
        probability=exam.answers.probability,
        labels=exam.labels,
        slices=scores.slices,
        slice_metric=metric,
        importances=importances(
            exam.candidate.artifact,
            exam.holdout.features(exam.candidate.columns),
            exam.truth,
            metric=metric,
            labels=exam.labels,
        ),
        importance_metric=metric,
        threshold=exam.candidate.artifact.threshold,
    )


def all_metrics(scores: Scores) -> dict[str, float]:
    """Name every number for MLflow; what could not be computed is left out."""
    named = dict(scores.candidate)
    for who, metrics in (
        ("dummy", scores.dummy),
        ("simple", scores.simple),
        ("champion", scores.champion or {}),
    ):
        named |= {f"{who}.{name}": value for name, value in metrics.items()}
    for one in scores.largest_slices:
        # MLflow takes few signs, no name that looks like a path, and 250 letters.
        place = re.sub(r"[^\w. -]", "_", f"{one.column}.{one.value}")[:200]
        named |= {f"{name}.{place}": value for name, value in one.metrics.items()}
    return {name: value for name, value in named.items() if math.isfinite(value)}


def version_of(spec: EvaluateSpec, trained: TrainedModel, scores: Scores, outcome: Outcome) -> str:
    """Digest what was judged, by what, against whom, and the verdict."""
    told = [
        trained.data_version,
        trained.model_id,
        scores.champion_version,
        spec.settings,
        outcome,
    ]
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
    return f"v1:{digest[:32]}"


def record(
    context: StepContext,
    spec: EvaluateSpec,
    trained: TrainedModel,
    scores: Scores,
    *,
    checks: tuple[Check, ...],
    verdict: tuple[Outcome, str],
    drawn: Drawn,
) -> Evaluation:
    """Write the verdict down, with what it was judged against."""
    finite = {name: value for name, value in scores.candidate.items() if math.isfinite(value)}
    outcome, because = verdict
    return Evaluation(
        **context.stamp(),
        data_version=version_of(spec, trained, scores, outcome),
        outcome=outcome,
        because=because,
        checks=checks,
        shown={
            **{name: Shown(kind="number", value=value) for name, value in finite.items()},
            "comparison": Shown(kind="markdown", value=comparison(scores)),
            "slices": Shown(kind="markdown", value=slices_table(scores)),
            "pictures": Shown(kind="markdown", value=drawn.picture),
            "holdout rows": Shown(kind="integer", value=trained.holdout.rows),
            "mlflow run": Shown(kind="url", value=context.bench.tracking.run_url(drawn.run_id)),
        },
        mlflow_run_id=trained.mlflow_run_id,
        model_id=trained.model_id,
        metrics=finite,
        champion_version=scores.champion_version,
        champion_gone=scores.champion_gone,
        champion_metrics={k: v for k, v in (scores.champion or {}).items() if math.isfinite(v)},
    )
