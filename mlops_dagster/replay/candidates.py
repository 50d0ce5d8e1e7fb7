"""Candidates of a replay: fitted and judged by the rooms' own code, each set of rows once."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from mlops_dagster.declaration import ModelIdentity
from mlops_dagster.evaluate.rules import Scores, check_names, conclude, judge
from mlops_dagster.evaluate.run import sliced
from mlops_dagster.evaluate.scoring import answers_of, baselines, quality, slice_scores
from mlops_dagster.metrics.losses import LossSketch, row_losses
from mlops_dagster.metrics.quality import Scored, metrics_for
from mlops_dagster.profiles.columns import TableProfile
from mlops_dagster.profiles.past import Every, levelled_losses, number_windows, sketch_with_past
from mlops_dagster.profiles.reference import (
    ReferenceProfile,
    answers_profile,
    as_table,
    reference_of,
)
from mlops_dagster.records import Outcome
from mlops_dagster.replay.history import History, Places
from mlops_dagster.scoring.artifact import ModelArtifact
from mlops_dagster.scoring.feature_rows import FeatureRows
from mlops_dagster.spec import LifecycleSpec
from mlops_dagster.train.estimator import texts_of
from mlops_dagster.train.fitting import Fitted, fit
from mlops_dagster.train.learning import judged_answers
from mlops_dagster.train.splitting import split_rows


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Candidate:
    """A fitted model with its answers to every row of the history, and what making it cost.

    `loss` is of the rows that it was held out from; `holdout` are their places.
    """

    rows: int
    labels: list[Any]
    answers: pd.DataFrame
    loss: LossSketch
    holdout: Places
    reference: ReferenceProfile
    rivals: Mapping[str, Mapping[str, float]]
    cpu_s: float


class Trainer:
    """Makes candidates of a history. The same rows are fitted once, whichever policy asks."""

    def __init__(self, history: History, spec: LifecycleSpec) -> None:
        self._history, self._spec = history, spec
        self._made: dict[int, Candidate] = {}
        self._gates = spec.evaluate.gates_of(history.model.task)

    def candidate(self, instant: datetime) -> Candidate:
        """Fit on the rows whose outcome is known by then.

        Raises: DataNotFitError when they are too few.
        """
        places = self._history.learnt_by(instant)
        if len(places) not in self._made:
            self._made[len(places)] = self._make(places)
        return self._made[len(places)]

    def verdict(self, candidate: Candidate, champion: Candidate | None) -> tuple[Outcome, str]:
        """Judge a candidate by the declared gates, against the champion on the same rows."""
        scores = Scores(
            candidate=self._quality(candidate, candidate.holdout),
            dummy=candidate.rivals.get("dummy", {}),
            simple=candidate.rivals.get("simple", {}),
            champion=self._quality(champion, candidate.holdout) if champion else None,
            champion_version="live" if champion else None,
            slices=self._slices(candidate),
        )
        names = check_names(self._gates)
        checks = [
            judge(gate, scores, name=name) for gate, name in zip(self._gates, names, strict=True)
        ]
        return conclude(self._gates, checks, scores)

    def _make(self, places: Places) -> Candidate:
        history, spec, model = self._history, self._spec, self._history.model
        began = time.process_time()
        about = history.rows.others().take(pa.array(places))
        train = spec.train
        parts = split_rows(model, about, split=train.split, seed=train.seed, window=train.window)
        if parts.since is not None:
            about, places = about.take(pa.array(parts.kept)), places[parts.kept]
            parts = parts.alone()
        made = history.features.iloc[places].reset_index(drop=True)
        fitted = fit(model, spec.train, made, about[model.target].to_pandas(), parts=parts)
        made = made[fitted.columns]
        artifact = ModelArtifact(
            functions=[],
            inputs=fitted.columns,
            columns=fitted.columns,
            pipeline=fitted.pipeline,
            task=model.task,
            labels=fitted.labels,
            texts=texts_of(made),
        )
        answers = artifact.score(history.features[fitted.columns])
        held = places[parts.holdout]
        times = about[str(model.event_time)]
        window = spec.monitor.reference_window
        numbers = number_windows(times, length=window)
        predictions = answers_profile(
            as_table(judged_answers(fitted.answers)),
            as_table(judged_answers(answers.iloc[places])),
            event_times=times,
            window=window,
        )
        return Candidate(
            rows=len(places),
            labels=fitted.labels,
            answers=answers,
            loss=self._losses(places, parts.holdout, answers, fitted.labels, windows=numbers),
            holdout=held,
            reference=ReferenceProfile(
                features=self._profile(made, times),
                predictions=predictions,
                rows=len(places),
            ),
            rivals=self._rivals(places, parts.train, held, fitted),
            cpu_s=time.process_time() - began,
        )

    def _losses(
        self,
        places: Places,
        held: Places,
        answers: pd.DataFrame,
        labels: list[Any],
        *,
        windows: npt.NDArray[np.float64],
    ) -> LossSketch:
        """Sketch the losses of the rows held out, with windows of all rows, as a training does."""
        model, truth = self._history.model, self._history.truth[places]
        scored = scored_of(truth, answers.iloc[places], labels)
        held_out = np.zeros(len(places), dtype=bool)
        held_out[held] = True
        every = Every(scored=scored, held_out=held_out, windows=windows)
        losses = row_losses(model.task, scored)[held]
        return sketch_with_past(losses, levelled_losses(losses, model.task, every), windows)

    def _profile(self, made: pd.DataFrame, times: pa.ChunkedArray) -> TableProfile:
        """Profile the features, where their drift may ask for a retrain."""
        if "feature_drift" not in self._spec.retrain.drift_signals:
            return TableProfile(rows=len(made), columns={})
        none = pa.table({"none": pa.nulls(len(made), pa.float64())})
        window = self._spec.monitor.reference_window
        return reference_of(as_table(made), none, event_times=times, window=window).features

    def _rivals(
        self, places: Places, train: Places, held: Places, fitted: Fitted
    ) -> dict[str, dict[str, float]]:
        if not any(gate.kind in {"beats_dummy", "beats_simple"} for gate in self._gates):
            return {}
        history = self._history
        table = history.rows.table
        found = baselines(
            history.model,
            FeatureRows(table=table.take(pa.array(places[train]))),
            FeatureRows(table=table.take(pa.array(held))),
            columns=fitted.columns,
            texts=texts_of(history.features[fitted.columns]),
            labels=fitted.labels,
        )
        names = metrics_for(history.model.task)
        truth = history.truth[held]
        return {name: quality(names, truth, one, fitted.labels) for name, one in found.items()}

    def _quality(self, one: Candidate, places: Places) -> dict[str, float]:
        answers = answers_of(one.answers.iloc[places])
        names = metrics_for(self._history.model.task)
        return quality(names, self._history.truth[places], answers, one.labels)

    def _slices(self, one: Candidate) -> Any:
        columns = sliced(
            self._spec.evaluate.model_copy(update={"slices": (), "gates": self._gates})
        )
        if not columns:
            return ()
        return slice_scores(
            FeatureRows(table=self._history.rows.table.take(pa.array(one.holdout))),
            answers_of(one.answers.iloc[one.holdout]),
            truth=self._history.truth[one.holdout],
            columns=columns,
            metrics=tuple({one.metric for one in self._gates if getattr(one, "slice", None)}),
            labels=one.labels,
        )


def losses_of(
    model: ModelIdentity,
    truth: npt.NDArray[Any],
    answers: pd.DataFrame,
    labels: Sequence[object],
) -> npt.NDArray[np.float64]:
    """Measure the loss of each answer, as monitoring does."""
    return row_losses(model.task, scored_of(truth, answers, labels))


def scored_of(truth: npt.NDArray[Any], answers: pd.DataFrame, labels: Sequence[object]) -> Scored:
    """Put answers beside their outcomes."""
    given = answers_of(answers)
    return Scored(
        y_true=truth, y_pred=given.prediction, probability=given.probability, labels=tuple(labels)
    )
