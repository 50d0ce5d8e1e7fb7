"""What would have been found of a candidate, window by window, by the code of `monitor`."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import pandas as pd
import pyarrow as pa

from mlops_dagster.metrics.limits import per_test
from mlops_dagster.monitor.drift import judge_window
from mlops_dagster.monitor.limits import Limits
from mlops_dagster.monitor.looks import Look, drift_findings
from mlops_dagster.monitor.measured import limit_of
from mlops_dagster.monitor.spec import DriftSpec, PerformanceSpec
from mlops_dagster.monitor.windows import Window
from mlops_dagster.profiles.columns import TableProfile
from mlops_dagster.profiles.reference import as_table
from mlops_dagster.profiles.tables import profile_windows
from mlops_dagster.records import Finding, Outcome
from mlops_dagster.replay.candidates import Candidate, losses_of
from mlops_dagster.replay.history import History
from mlops_dagster.train.learning import judged_answers


@dataclass(frozen=True, slots=True, kw_only=True)
class _Side:
    """Features or answers: each window's profile, the reference's, and how they are judged."""

    cut: Mapping[int, TableProfile]
    before: TableProfile
    spec: DriftSpec
    limits: Limits


class Watch:
    """One candidate's windows, profiled in one pass; each is judged when it is asked for, once.

    Features are judged where the candidate has a profile of them.
    """

    def __init__(
        self, history: History, candidate: Candidate, spec: DriftSpec, numbers: pa.Array
    ) -> None:
        everything = spec.model_copy(update={"columns": (), "exclude": ()})
        reference = candidate.reference
        answers = as_table(judged_answers(candidate.answers))
        of_answers = _side(answers, reference.predictions, everything, numbers, apart=True)
        self._sides = {"predictions": of_answers}
        if reference.features.columns:
            features = as_table(history.features)
            self._sides["features"] = _side(features, reference.features, spec, numbers)
        self._looks: dict[int, Look] = {}

    def look(self, number: int, window: Window) -> Look:
        """Judge one window."""
        if number not in self._looks:
            sides = {name: one for name, one in self._sides.items() if number in one.cut}
            found = {
                name: judge_window(one.before, one.cut[number], spec=one.spec, limits=one.limits)
                for name, one in sides.items()
            }
            self._looks[number] = Look(
                window=window,
                rows=max((one.cut[number].rows for one in sides.values()), default=0),
                features=found.get("features", ()),
                predictions=found.get("predictions", ()),
                source="the champion's answers",
            )
        return self._looks[number]


class Watcher:
    """Judges windows of a history, each once for a candidate, whichever policy asks."""

    def __init__(
        self,
        history: History,
        drift: DriftSpec,
        performance: PerformanceSpec,
        windows: list[Window],
    ) -> None:
        self._history, self._windows = history, windows
        self._drift, self._performance = drift, performance
        self._numbers = self._numbered()
        self._watches: dict[int, Watch] = {}

    def drift(
        self, candidate: Candidate, window: Window, *, at: datetime, version: str
    ) -> list[Finding]:
        """Find what drifted in one window."""
        if id(candidate) not in self._watches:
            made = Watch(self._history, candidate, self._drift, self._numbers)
            self._watches[id(candidate)] = made
        look = self._watches[id(candidate)].look(self._windows.index(window), window)
        return drift_findings(self._history.model, look, at=at, champion=version)

    def performance(
        self, candidate: Candidate, *, since: datetime, at: datetime, version: str
    ) -> list[Finding]:
        """Hold the loss of the labels that came in against the limit of the holdout's."""
        history, before = self._history, candidate.loss
        places = history.learnt_between(since, at)
        if len(places) < self._performance.minimum_labels:
            return []
        losses = losses_of(
            history.model, history.truth[places], candidate.answers.iloc[places], candidate.labels
        )
        quantile = per_test(self._performance.false_alarms, tests=1)
        limit, _ = limit_of(before, len(losses), quantile=quantile)
        value = float(losses.mean())
        told = f"loss {value:.4f} of {len(places):,} labels, limit {limit:.4f} (holdout {before.mean:.4f})."
        finding = Finding(
            model=history.model.name,
            segment=history.model.segment,
            signal="performance",
            subject="loss",
            outcome=Outcome.REFUSED if value > limit else Outcome.PASSED,
            value=value,
            limit=limit,
            rows=len(places),
            window_start=since,
            window_end=at,
            at=at,
            because=told,
            champion_version=version,
        )
        return [finding]

    def _numbered(self) -> pa.Array:
        starts = pd.DatetimeIndex([one.start for one in self._windows])
        numbers = starts.searchsorted(pd.DatetimeIndex(self._history.times), side="right") - 1
        ends = pd.DatetimeIndex([one.end for one in self._windows])
        inside = (numbers >= 0) & (self._history.times < ends[-1]).to_numpy()
        return pa.array(numbers, mask=~inside)


def _side(
    table: pa.Table,
    before: TableProfile,
    spec: DriftSpec,
    numbers: pa.Array,
    *,
    apart: bool = False,
) -> _Side:
    return _Side(
        cut=profile_windows(table, window_of=numbers, edges_from=before),
        before=before,
        spec=spec,
        limits=Limits(before, spec, apart=apart),
    )
