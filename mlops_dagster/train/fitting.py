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
    """A fitted pipeline, its classes, its answers on the holdout, and the features it is blind to."""

    pipeline: Any
    labels: list[Any]
    answers: pd.DataFrame
    metrics: dict[str, float]
    unseen: tuple[str, ...] = ()


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
    known = estimator_input(features, texts_of(features))
    learned, truth = known.iloc[parts.train], target.to_numpy()
    seen = learned.notna().any()
    if not seen.any():
        message = f"{model.address}/train: no feature has a value in the {len(learned):,} rows to learn from."
        raise DataNotFitError(message)
    pipeline = make_pipeline(
        make_estimator(spec, model.task), features.loc[:, seen.to_numpy()], spec.encode
    )
    try:
        pipeline.fit(learned, truth[parts.train])
    except ValueError as error:
        message = (
            f"{model.address}/train: {spec.estimator} cannot be fitted on {len(parts.train):,} rows: "
            f"{first_line(error)}"
        )
        raise DataNotFitError(message) from error
    labels = pipeline.classes_.tolist() if model.task.is_classification else []
    answers = ModelArtifact(
        functions=[],
        inputs=list(features.columns),
        columns=list(features.columns),
        pipeline=pipeline,
        task=model.task,
        labels=labels,
        texts=texts_of(features),
        threshold=threshold,
    ).score(known.iloc[parts.holdout])
    metrics = quality(model, truth[parts.holdout], answers, labels)
    return Fitted(
        pipeline=pipeline,
        labels=labels,
        answers=answers,
        metrics=metrics,
        unseen=tuple(map(str, seen.index[~seen])),
    )


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
