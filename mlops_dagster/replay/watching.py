"""What would have been found of a candidate, window by window, by the code of `monitor`."""

import math
from datetime import datetime

import pandas as pd
import pyarrow as pa

from mlops_dagster.monitor.drift import ColumnVerdict, judge_drift, too_few_rows
from mlops_dagster.monitor.limits import Limits
from mlops_dagster.monitor.looks import Look, drift_findings
from mlops_dagster.monitor.spec import DriftSpec
from mlops_dagster.monitor.windows import Window
from mlops_dagster.profiles.columns import TableProfile
from mlops_dagster.profiles.reference import as_table
from mlops_dagster.profiles.tables import profile_windows
from mlops_dagster.records import Finding, Outcome
from mlops_dagster.replay.candidates import Candidate, row_losses
from mlops_dagster.replay.history import History
from mlops_dagster.train.learning import judged_answers

FEWEST_LABELS = 200


class Watch:
    """One candidate's windows, profiled in one pass; each is judged when it is asked for, once."""

    def __init__(
        self, history: History, candidate: Candidate, spec: DriftSpec, numbers: pa.Array
    ) -> None:
        everything = spec.model_copy(update={"columns": (), "exclude": ()})
        reference = candidate.reference
        sides = (
            (as_table(history.features), reference.features, spec),
            (as_table(judged_answers(candidate.answers)), reference.predictions, everything),
        )
        self._sides = [
            (
                profile_windows(table, window_of=numbers, edges_from=before),
                before,
                of,
                Limits(before, of),
            )
            for table, before, of in sides
        ]
        self._looks: dict[int, Look] = {}

    def look(self, number: int, window: Window) -> Look:
        """Judge one window."""
        if number not in self._looks:
            features, predictions = (
                _verdicts(before, cut[number], of, limits) if number in cut else ()
                for cut, before, of, limits in self._sides
            )
            rows = self._sides[0][0][number].rows if number in self._sides[0][0] else 0
            self._looks[number] = Look(
                window=window,
                rows=rows,
                features=features,
                predictions=predictions,
                source="the champion's answers",
            )
        return self._looks[number]


class Watcher:
    """Judges windows of a history, each once for a candidate, whichever policy asks."""

    def __init__(self, history: History, spec: DriftSpec, windows: list[Window]) -> None:
        self._history, self._spec, self._windows = history, spec, windows
        self._numbers = self._numbered()
        self._watches: dict[int, Watch] = {}

    def drift(
        self, candidate: Candidate, window: Window, *, at: datetime, version: str
    ) -> list[Finding]:
        """Find what drifted in one window."""
        if id(candidate) not in self._watches:
            made = Watch(self._history, candidate, self._spec, self._numbers)
            self._watches[id(candidate)] = made
        look = self._watches[id(candidate)].look(self._windows.index(window), window)
        return drift_findings(self._history.model, look, at=at, champion=version)

    def performance(
        self, candidate: Candidate, *, since: datetime, at: datetime, version: str
    ) -> list[Finding]:
        """Hold the loss of the labels that came in against the holdout's, by its standard error."""
        from scipy.special import ndtri

        history = self._history
        places = history.learnt_between(since, at)
        before = candidate.losses
        if len(places) < FEWEST_LABELS or len(before) < FEWEST_LABELS:
            return []
        losses = row_losses(history.truth[places], candidate.answers.iloc[places], candidate.labels)
        error = float(before.std()) * math.sqrt(1 / len(losses) + 1 / len(before))
        limit = float(before.mean()) + float(ndtri(1 - self._spec.false_alarms)) * error
        value = float(losses.mean())
        told = f"loss {value:.4f} of {len(places):,} labels, limit {limit:.4f} (holdout {before.mean():.4f})."
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


def _verdicts(
    reference: TableProfile, current: TableProfile, spec: DriftSpec, limits: Limits
) -> tuple[ColumnVerdict, ...]:
    if current.rows < spec.minimum_rows:
        return (too_few_rows(reference, current, spec=spec),)
    return tuple(judge_drift(reference, current, spec=spec, limits=limits))
