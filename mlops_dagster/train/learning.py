"""From the table of features to a fitted artifact and the rows that it has not seen."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np
import pandas as pd
import pyarrow as pa

from mlops_dagster.profiles.moments import possible
from mlops_dagster.profiles.reference import (
    ReferenceProfile,
    answers_profile,
    as_table,
    reference_of,
)
from mlops_dagster.records import Check, FeatureSet, TableRef
from mlops_dagster.scoring.artifact import ModelArtifact
from mlops_dagster.scoring.feature_rows import FeatureRows
from mlops_dagster.scoring.functions import resolve_function
from mlops_dagster.scoring.inputs import as_given, times_of
from mlops_dagster.stores.content import digest_of_table
from mlops_dagster.train.estimator import texts_of
from mlops_dagster.train.fitting import Fitted, fit, unseen_of
from mlops_dagster.train.spec import TrainSpec
from mlops_dagster.train.splitting import Parts, judge_apart, split_rows
from mlops_dagster.workbench import StepContext


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """What was learned from, and what came of it. `answers` has one for each labelled row.

    `unseen_inputs` are the inputs without a value in the rows that were learned from. `times` has the
    time of each row, null where it cannot be, and is None where no event time is declared.
    """

    rows: FeatureRows
    features: pd.DataFrame
    parts: Parts
    apart: Check
    holdout: TableRef
    fitted: Fitted
    artifact: ModelArtifact
    answers: pd.DataFrame
    unseen_inputs: list[str]
    times: pa.ChunkedArray | pa.Array | None

    def example(self) -> pd.DataFrame:
        """Give five rows of inputs."""
        return as_given(self.rows.table.slice(0, 5).select(self.artifact.inputs))


def learn(
    context: StepContext,
    spec: TrainSpec,
    features: FeatureSet,
    *,
    functions: Sequence[str],
    threshold: float = 0.5,
) -> Lesson:
    """Split, fit, and keep the holdout as a table.

    Raises: DataNotFitError when the rows are too few, or the estimator cannot be fitted on them.
    """
    model = context.model
    rows = FeatureRows.read(context.bench.tables, features.table)
    parts = split_rows(
        model,
        rows.others(),
        split=spec.split,
        seed=spec.seed,
        window=spec.window,
        now=context.at,
    )
    if parts.since is not None:
        rows, parts = FeatureRows(table=rows.table.take(pa.array(parts.kept))), parts.alone()
    made, about = rows.features(), rows.others()
    given = rows.inputs(list(features.inputs))
    fitted = fit(model, spec, made, rows.column(model.target), parts=parts, threshold=threshold)
    made = made[fitted.columns]
    artifact = ModelArtifact(
        functions=[resolve_function(path) for path in functions],
        inputs=features.inputs,
        columns=fitted.columns,
        pipeline=fitted.pipeline,
        task=model.task.value,
        labels=fitted.labels,
        times=[name for name in times_of(rows.table.schema) if name in features.inputs],
        texts=texts_of(made),
        numbers=[name for name in features.inputs if pd.api.types.is_numeric_dtype(given[name])],
        threshold=threshold,
    )
    return Lesson(
        rows=rows,
        features=made,
        parts=parts,
        apart=judge_apart(model, made, about, parts),
        holdout=keep_holdout(context, rows.table.take(pa.array(parts.holdout))),
        fitted=fitted,
        artifact=artifact,
        answers=artifact.score(made),
        unseen_inputs=unseen_of(given, parts.train),
        times=possible(rows.table[model.event_time], now=context.at) if model.event_time else None,
    )


def keep_holdout(context: StepContext, rows: pa.Table) -> TableRef:
    """Write the rows that were held out; the same rows make no new version."""
    name = context.table("holdout")
    with context.lock("holdout"):
        latest = context.bench.tables.latest(name)
        same_size = latest is not None and latest.ref.rows == rows.num_rows
        if latest and same_size and latest.ref.digest == digest_of_table(rows):
            return latest.ref
        return context.bench.tables.overwrite(name, rows).ref


def reference_profile(
    context: StepContext, features: FeatureSet, lesson: Lesson, *, window: timedelta
) -> ReferenceProfile:
    """Profile the rows learned from and held out, and the answers on the latter, by window."""
    none = pa.table({"none": pa.nulls(lesson.rows.table.num_rows, pa.float64())})
    source = context.bench.tables.at(features.source.name, features.source.version)
    whole = reference_of(
        as_table(lesson.features),
        none,
        event_times=lesson.times,
        window=window if context.model.event_time else None,
        through=int(source.state.get("accepted_to", 0)),
    )
    answers = answers_profile(
        as_table(judged_answers(lesson.fitted.answers)),
        as_table(judged_answers(lesson.answers)),
        event_times=lesson.times,
        window=window,
    )
    return replace(whole, predictions=answers)


def judged_answers(answers: pd.DataFrame) -> pd.DataFrame:
    """Choose what of an answer is watched: the probability of two classes, else the prediction."""
    return answers[["probability" if "probability" in answers else "prediction"]]


def finite(metrics: dict[str, float]) -> dict[str, float]:
    """Leave out what could not be computed: MLflow keeps numbers only."""
    return {name: value for name, value in metrics.items() if np.isfinite(value)}
