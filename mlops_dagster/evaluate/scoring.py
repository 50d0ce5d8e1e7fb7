"""Score the candidate, two baselines and the champion on the same rows."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mlops_dagster.declaration import ModelIdentity, Task
from mlops_dagster.errors import first_line
from mlops_dagster.evaluate.rules import SHOWN_VALUES, SliceScore
from mlops_dagster.metrics.business import RowValues
from mlops_dagster.metrics.quality import measure
from mlops_dagster.scoring.artifact import estimator_input
from mlops_dagster.scoring.feature_rows import FeatureRows
from mlops_dagster.scoring.loader import ScoringModel, load_verified
from mlops_dagster.scoring.rows import typed_like
from mlops_dagster.stores.registry import ModelVersion, Registry

_BASELINE_ROWS = 20_000
_FAR = 1e100


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """A model's answers on the holdout: labels or numbers, and probabilities of a classification."""

    prediction: np.ndarray
    probability: np.ndarray | None = None

    def of(self, places: np.ndarray) -> "Answers":
        """Take some rows."""
        some = None if self.probability is None else self.probability[places]
        return Answers(prediction=self.prediction[places], probability=some)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the champion said of the holdout, or why it could not.

    `labels` are the columns of its probabilities: the candidate's, then those that it alone knows.
    `notes` say in sentences what else is to know: which inputs were null to it, which classes differ.
    `gone` says that its files are not there any more.
    """

    answers: Answers | None = None
    problem: str = ""
    gone: bool = False
    labels: tuple[Any, ...] = ()
    notes: tuple[str, ...] = ()


def answers_of(frame: pd.DataFrame) -> Answers:
    """Read what an artifact answered."""
    if "probability" in frame:
        likely: np.ndarray | None = frame["probability"].to_numpy()
    else:
        columns = [name for name in frame if str(name).startswith("probability_")]
        likely = frame[columns].to_numpy() if columns else None
    return Answers(prediction=frame["prediction"].to_numpy(), probability=likely)


def quality(
    metrics: Sequence[str],
    truth: np.ndarray,
    answers: Answers,
    labels: Sequence[Any],
    *,
    worth: RowValues | None = None,
) -> dict[str, float]:
    """Measure answers; `worth` values each decision."""
    return measure(
        metrics,
        truth,
        answers.prediction,
        probability=answers.probability,
        labels=labels,
        worth=worth,
    )


def baselines(
    model: ModelIdentity,
    train: FeatureRows,
    holdout: FeatureRows,
    *,
    columns: Sequence[str],
    texts: Sequence[str],
    labels: Sequence[Any],
) -> dict[str, Answers]:
    """Fit a dummy and a linear model on at most 20 000 training rows; answer the holdout.

    `columns` are the features that the candidate learned from, `texts` those that are no numbers.
    """
    classifies = model.task.is_classification
    chosen = some_rows(train.column(model.target), classifies=classifies)
    few = FeatureRows(table=train.table.take(chosen))
    known, asked = (
        bounded(estimator_input(rows.features(columns), texts), texts) for rows in (few, holdout)
    )
    truth = few.column(model.target).to_numpy()
    with warnings.catch_warnings():
        # A linear model that stopped early is still a fair thing to beat.
        from sklearn.exceptions import ConvergenceWarning

        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted = {
            "dummy": dummy(classifies=classifies).fit(known, truth),
            "simple": linear(known, texts, classifies=classifies).fit(known, truth),
        }
    return {name: _answer(one, asked, labels) for name, one in fitted.items()}


def some_rows(target: pd.Series, *, classifies: bool) -> np.ndarray:
    """Choose at most about 20 000 rows, evenly; of a classification each class, in its share."""
    order = np.arange(len(target))
    step = -(-len(target) // _BASELINE_ROWS)
    if step <= 1 or not classifies:
        return order[:: max(step, 1)]
    codes = pd.factorize(target, sort=True)[0]
    order = np.argsort(codes, kind="stable")
    # The first of each class is always there: a rare one could fall between two steps.
    firsts = np.unique(codes, return_index=True)[1]
    return np.union1d(order[::step], firsts)


def bounded(features: pd.DataFrame, texts: Sequence[str]) -> pd.DataFrame:
    """Make infinite numbers missing, and those whose squares are: a linear model takes none."""
    numbers = [name for name in features if name not in texts]
    near = features[numbers].where(features[numbers].abs() < _FAR)
    return features.assign(**{str(name): near[name] for name in numbers})


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


def answer(model: ScoringModel, holdout: FeatureRows) -> pd.DataFrame:
    """Let a model answer the holdout as it does when it serves, from those of its inputs there are."""
    there = [name for name in model.inputs if name in holdout.table.column_names]
    return model.predict(typed_like(holdout.inputs(there), model)[there])


def ask_champion(
    registry: Registry, version: ModelVersion, holdout: FeatureRows, labels: Sequence[Any]
) -> Asked:
    """Let the champion answer the same rows, or say why it cannot.

    An input that the rows have no more is null to it, as it is where it serves. A class that it does not
    know has its probability 0; what it gives to one that the candidate does not know stays with that.
    """
    named = f"The champion (version {version.version})"
    if not registry.has_files(version):
        return Asked(gone=True)
    try:
        champion = load_verified(registry, version)
        answers = answers_of(answer(champion, holdout))
    except Exception as error:  # noqa: BLE001 - feature code of another time: whatever it raises
        return Asked(problem=f"{named} cannot score these rows: {first_line(error)}")
    known = list(champion.labels)
    multiclass = champion.artifact.task == Task.MULTICLASS
    if known != list(labels) and not (multiclass and set(known) & set(labels)):
        return Asked(
            problem=f"{named} knows the classes {known}, the candidate {list(labels)}: "
            "they cannot be compared."
        )
    every = (*labels, *(one for one in known if one not in labels))
    if known != list(labels):
        likely = aligned(np.asarray(answers.probability, float), known, every)
        answers = Answers(prediction=answers.prediction, probability=likely)
    absent = [name for name in champion.inputs if name not in holdout.table.column_names]
    notes = [f"It was given null for what the rows lack: {', '.join(absent)}."] if absent else []
    notes += told_classes(known, labels)
    return Asked(answers=answers, labels=every, notes=tuple(notes))


def aligned(likely: np.ndarray, known: Sequence[Any], labels: Sequence[Any]) -> np.ndarray:
    """Give the probabilities of `known` classes as columns of `labels`: 0 for those that are not known."""
    if likely.ndim == 1:
        likely = np.column_stack([1.0 - likely, likely])
    full = np.zeros((len(likely), len(labels)))
    for at, label in enumerate(known):
        full[:, list(labels).index(label)] = likely[:, at]
    return full


def told_classes(known: Sequence[Any], labels: Sequence[Any]) -> list[str]:
    """Say which classes only one of champion and candidate knows."""
    new = ", ".join(repr(one) for one in labels if one not in known)
    gone = ", ".join(repr(one) for one in known if one not in labels)
    told = []
    if new:
        told.append(f"It does not know the class {new}, to which it gives probability 0.")
    if gone:
        told.append(f"The candidate does not know the class {gone} any more.")
    return told


def slice_scores(
    holdout: FeatureRows,
    answers: Answers,
    *,
    truth: np.ndarray,
    columns: Mapping[str, int],
    metrics: Sequence[str],
    labels: Sequence[Any],
    worth: RowValues | None = None,
) -> list[SliceScore]:
    """Measure values of slices apart: of each column the 20 largest, and all of so many rows."""
    scores = []
    for column, enough in columns.items():
        values = holdout.column(column).astype(str).reset_index(drop=True)
        places = values.groupby(values).indices
        for at, (value, rows) in enumerate(values.value_counts().items()):
            if at >= SHOWN_VALUES and rows < enough:
                break
            some = np.asarray(places[value])
            measured = quality(metrics, truth[some], answers.of(some), labels, worth=worth)
            scores.append(
                SliceScore(column=column, value=str(value), rows=int(rows), metrics=measured)
            )
    return scores


def _answer(fitted: Any, asked: pd.DataFrame, labels: Sequence[Any]) -> Answers:
    if not labels:
        return Answers(prediction=np.asarray(fitted.predict(asked), float))
    likely = np.asarray(fitted.predict_proba(asked), float)
    # A class that only the candidate's training rows have is one that the baseline never says.
    full = aligned(likely, fitted.classes_.tolist(), labels)
    prediction = np.asarray(labels)[full.argmax(axis=1)]
    return Answers(prediction=prediction, probability=full[:, 1] if len(labels) == 2 else full)
