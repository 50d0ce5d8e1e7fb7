"""Score the candidate, two baselines and the champion on the same rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mlops_dagster.declaration import ModelIdentity
from mlops_dagster.errors import MlopsError, first_line
from mlops_dagster.evaluate.rules import SliceScore
from mlops_dagster.metrics.quality import measure
from mlops_dagster.scoring.artifact import estimator_input
from mlops_dagster.scoring.feature_rows import FeatureRows
from mlops_dagster.scoring.loader import ScoringModel, load_verified
from mlops_dagster.stores.registry import ModelVersion, Registry

_BASELINE_ROWS = 20_000
_VALUES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """A model's answers on the holdout: labels or numbers, and probabilities of a classification."""

    prediction: np.ndarray
    probability: np.ndarray | None = None

    def of(self, places: np.ndarray) -> "Answers":
        """Take some rows."""
        some = None if self.probability is None else self.probability[places]
        return Answers(prediction=self.prediction[places], probability=some)


def answers_of(frame: pd.DataFrame) -> Answers:
    """Read what an artifact answered."""
    if "probability" in frame:
        likely: np.ndarray | None = frame["probability"].to_numpy()
    else:
        columns = [name for name in frame if str(name).startswith("probability_")]
        likely = frame[columns].to_numpy() if columns else None
    return Answers(prediction=frame["prediction"].to_numpy(), probability=likely)


def quality(
    metrics: Sequence[str], truth: np.ndarray, answers: Answers, labels: Sequence[Any]
) -> dict[str, float]:
    """Measure answers."""
    return measure(
        metrics, truth, answers.prediction, probability=answers.probability, labels=labels
    )


def baselines(
    model: ModelIdentity,
    train: FeatureRows,
    holdout: FeatureRows,
    *,
    texts: Sequence[str],
    labels: Sequence[Any],
) -> dict[str, Answers]:
    """Fit a dummy and a linear model on at most 20 000 training rows; answer the holdout."""
    step = max(1, train.table.num_rows // _BASELINE_ROWS)
    few = FeatureRows(table=train.table.take(np.arange(0, train.table.num_rows, step)))
    known = estimator_input(few.features(), texts)
    asked = estimator_input(holdout.features(), texts)
    truth = few.column(model.target).to_numpy()
    fitted = {
        "dummy": dummy(classifies=model.task.is_classification).fit(known, truth),
        "simple": linear(known, texts, classifies=model.task.is_classification).fit(known, truth),
    }
    return {name: _answer(one, asked, labels) for name, one in fitted.items()}


def dummy(*, classifies: bool) -> Any:
    """Make a model that knows no feature."""
    from sklearn.dummy import DummyClassifier, DummyRegressor

    return DummyClassifier(strategy="prior") if classifies else DummyRegressor()


def linear(features: pd.DataFrame, texts: Sequence[str], *, classifies: bool) -> Any:
    """Make a linear model on one column per word and scaled numbers."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = [name for name in features if name not in texts]
    encoder = ColumnTransformer(
        [
            (
                "text",
                OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=50),
                list(texts),
            ),
            (
                "numbers",
                make_pipeline(
                    SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler()
                ),
                numbers,
            ),
        ]
    )
    return make_pipeline(encoder, LogisticRegression(max_iter=200) if classifies else Ridge())


def champion_answers(
    registry: Registry, version: ModelVersion, holdout: FeatureRows, labels: Sequence[Any]
) -> tuple[Answers | None, str]:
    """Let the champion answer the same rows, or say why it cannot."""
    try:
        champion = load_verified(registry, version)
        answers = answers_of(champion.predict(champion_inputs(champion, holdout)))
    except (MlopsError, ValueError, KeyError, TypeError) as error:
        # The user's feature code of another time runs here; whatever it raises is its answer.
        return (
            None,
            f"The champion (version {version.version}) cannot score these rows: {first_line(error)}",
        )
    if list(champion.labels) != list(labels):
        return None, (
            f"The champion (version {version.version}) knows the classes {champion.labels}, the "
            f"candidate {list(labels)}: they cannot be compared."
        )
    return answers, ""


def champion_inputs(champion: ScoringModel, holdout: FeatureRows) -> pd.DataFrame:
    """Give the champion those of its inputs that there are."""
    there = [name for name in champion.inputs if name in holdout.table.column_names]
    return holdout.inputs(there)


def slice_scores(
    holdout: FeatureRows,
    answers: Answers,
    *,
    truth: np.ndarray,
    columns: Sequence[str],
    metrics: Sequence[str],
    labels: Sequence[Any],
) -> list[SliceScore]:
    """Measure the largest values of each slice apart."""
    scores = []
    for column in columns:
        values = holdout.column(column).astype(str).to_numpy()
        counted = pd.Series(values).value_counts().head(_VALUES)
        for value, rows in counted.items():
            places = np.flatnonzero(values == value)
            measured = quality(metrics, truth[places], answers.of(places), labels)
            scores.append(
                SliceScore(column=column, value=str(value), rows=int(rows), metrics=measured)
            )
    return scores


def _answer(fitted: Any, asked: pd.DataFrame, labels: Sequence[Any]) -> Answers:
    if not labels:
        return Answers(prediction=np.asarray(fitted.predict(asked), float))
    likely = np.asarray(fitted.predict_proba(asked), float)
    # A class that only the candidate's training rows have is one that the baseline never says.
    full = np.zeros((len(asked), len(labels)))
    for at, label in enumerate(fitted.classes_.tolist()):
        full[:, list(labels).index(label)] = likely[:, at]
    prediction = np.asarray(labels)[full.argmax(axis=1)]
    return Answers(prediction=prediction, probability=full[:, 1] if len(labels) == 2 else full)
