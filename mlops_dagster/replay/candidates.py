"""Candidates of a replay: fitted and judged by the rooms' own code, each set of rows once."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from mlops_dagster.evaluate.rules import Scores, check_names, conclude, judge
from mlops_dagster.evaluate.run import sliced
from mlops_dagster.evaluate.scoring import answers_of, baselines, quality, slice_scores
from mlops_dagster.metrics.quality import metrics_for
from mlops_dagster.profiles.reference import ReferenceProfile, as_table, reference_of
from mlops_dagster.records import Outcome
from mlops_dagster.replay.history import History, Places
from mlops_dagster.scoring.artifact import ModelArtifact
from mlops_dagster.scoring.feature_rows import FeatureRows
from mlops_dagster.spec import LifecycleSpec
from mlops_dagster.train.estimator import texts_of
from mlops_dagster.train.fitting import fit
from mlops_dagster.train.learning import judged_answers
from mlops_dagster.train.splitting import split_rows


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Candidate:
    """A fitted model with its answers to every row of the history, and what making it cost.

    `losses` are of the rows that it was held out from; `holdout` are their places.
    """

    rows: int
    labels: list[Any]
    answers: pd.DataFrame
    losses: npt.NDArray[np.float64]
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
        made = history.features.iloc[places].reset_index(drop=True)
        about = history.rows.others().take(pa.array(places))
        parts = split_rows(model, about, split=spec.train.split, seed=spec.train.seed)
        fitted = fit(model, spec.train, made, about[model.target].to_pandas(), parts=parts)
        artifact = ModelArtifact(
            functions=[],
            inputs=list(made.columns),
            columns=list(made.columns),
            pipeline=fitted.pipeline,
            task=model.task,
            labels=fitted.labels,
            texts=texts_of(made),
        )
        answers = artifact.score(history.features)
        held = places[parts.holdout]
        none = pa.table({"none": pa.nulls(len(places), pa.float64())})
        window = spec.monitor.drift.window if spec.monitor.drift else None
        whole = reference_of(
            as_table(made),
            none,
            event_times=about[str(model.event_time)],
            window=window,
        )
        judged = as_table(judged_answers(fitted.answers))
        return Candidate(
            rows=len(places),
            labels=fitted.labels,
            answers=answers,
            losses=row_losses(history.truth[held], answers.iloc[held], fitted.labels),
            holdout=held,
            reference=ReferenceProfile(
                features=whole.features,
                predictions=reference_of(judged, judged).predictions,
                rows=len(places),
            ),
            rivals=self._rivals(places, parts.train, held, fitted.labels),
            cpu_s=time.process_time() - began,
        )

    def _rivals(
        self, places: Places, train: Places, held: Places, labels: list[Any]
    ) -> dict[str, dict[str, float]]:
        if not any(gate.kind in {"beats_dummy", "beats_simple"} for gate in self._gates):
            return {}
        history = self._history
        table = history.rows.table
        found = baselines(
            history.model,
            FeatureRows(table=table.take(pa.array(places[train]))),
            FeatureRows(table=table.take(pa.array(held))),
            texts=texts_of(history.features),
            labels=labels,
        )
        names = metrics_for(history.model.task)
        truth = history.truth[held]
        return {name: quality(names, truth, one, labels) for name, one in found.items()}

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
            metrics=metrics_for(self._history.model.task),
            labels=one.labels,
        )


def row_losses(
    truth: npt.NDArray[Any], answers: pd.DataFrame, labels: list[Any]
) -> npt.NDArray[np.float64]:
    """Tell each answer's loss: minus the log of the probability of the truth, or the squared error."""
    if not labels:
        return np.asarray((truth - answers["prediction"].to_numpy()) ** 2, dtype=np.float64)
    likely = answers_of(answers).probability
    if likely is None:
        return np.asarray(truth != answers["prediction"].to_numpy(), dtype=np.float64)
    shares = likely if likely.ndim == 2 else np.column_stack([1 - likely, likely])
    places = np.searchsorted(np.asarray(labels), truth)
    right = shares[np.arange(len(truth)), np.minimum(places, len(labels) - 1)]
    return np.asarray(-np.log(np.clip(right, 1e-15, 1.0)))
