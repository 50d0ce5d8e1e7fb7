"""Fit the declared estimator on one side of the split, and measure it on the other."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mlops_dagster.declaration import ModelIdentity
from mlops_dagster.errors import DataNotFitError, first_line
from mlops_dagster.metrics.quality import measure, metrics_for
from mlops_dagster.scoring.artifact import ModelArtifact, estimator_input
from mlops_dagster.train.estimator import make_estimator, make_pipeline, texts_of
from mlops_dagster.train.spec import TrainSpec
from mlops_dagster.train.splitting import Parts


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """A pipeline fitted on `columns`, its classes, and its answers on the holdout.

    `unseen` are the features without a value in the rows that it was fitted on: it is blind to them.
    """

    pipeline: Any
    columns: list[str]
    labels: list[Any]
    answers: pd.DataFrame
    metrics: dict[str, float]
    unseen: list[str]


def fit(
    model: ModelIdentity,
    spec: TrainSpec,
    features: pd.DataFrame,
    target: pd.Series,
    *,
    parts: Parts,
    threshold: float = 0.5,
) -> Fitted:
    """Fit on the training rows, and on the features that have a value in any of them.

    Raises: DataNotFitError when there is none, or with what the estimator said.
    """
    unseen = unseen_of(features, parts.train)
    used = features.drop(columns=unseen)
    texts, truth = texts_of(used), target.to_numpy()
    if not len(used.columns):
        message = (
            f"{model.address}/train: no feature has a value in the {len(parts.train):,} rows to learn from. "
            "Widen train.window, or wait for rows that have one."
        )
        raise DataNotFitError(message)
    pipeline = make_pipeline(make_estimator(spec, model.task), used, spec.encode)
    known = estimator_input(used, texts)
    try:
        pipeline.fit(known.iloc[parts.train], truth[parts.train])
    except ValueError as error:
        message = (
            f"{model.address}/train: {spec.estimator} cannot be fitted on {len(parts.train):,} rows: "
            f"{first_line(error)}"
        )
        raise DataNotFitError(message) from error
    columns = list(used.columns)
    labels = pipeline.classes_.tolist() if model.task.is_classification else []
    answers = ModelArtifact(
        functions=[],
        inputs=columns,
        columns=columns,
        pipeline=pipeline,
        task=model.task,
        labels=labels,
        texts=texts,
        threshold=threshold,
    ).score(known.iloc[parts.holdout])
    return Fitted(
        pipeline=pipeline,
        columns=columns,
        labels=labels,
        answers=answers,
        metrics=quality(model, truth[parts.holdout], answers, labels),
        unseen=unseen,
    )


def unseen_of(frame: pd.DataFrame, learned: np.ndarray) -> list[str]:
    """Name the columns without a value in the rows that are learned from."""
    return [str(name) for name in frame if not frame[name].notna().to_numpy()[learned].any()]


def quality(
    model: ModelIdentity, truth: np.ndarray, answers: pd.DataFrame, labels: list[Any]
) -> dict[str, float]:
    """Measure answers by every metric of the task."""
    return measure(
        metrics_for(model.task),
        truth,
        answers["prediction"].to_numpy(),
        probability=probability_of(answers),
        labels=labels,
    )


def probability_of(answers: pd.DataFrame) -> np.ndarray | None:
    """Take the probabilities out of an answer: one column for two classes, else one per class."""
    if "probability" in answers:
        return answers["probability"].to_numpy()
    columns = [name for name in answers if str(name).startswith("probability_")]
    return answers[columns].to_numpy() if columns else None
