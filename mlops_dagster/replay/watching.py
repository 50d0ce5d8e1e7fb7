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


class Watcher:
    """Judges windows of a history, each once for a candidate, whichever policy asks."""

    def __init__(self, history: History, spec: DriftSpec, windows: list[Window]) -> None:
        self._history, self._spec, self._windows = history, spec, windows
        self._numbers = self._numbered()
        self._looks: dict[int, dict[Window, Look]] = {}

    def drift(
        self, candidate: Candidate, window: Window, *, at: datetime, version: str
    ) -> list[Finding]:
        """Find what drifted in one window."""
        if id(candidate) not in self._looks:
            self._looks[id(candidate)] = self._judge(candidate)
        look = self._looks[id(candidate)][window]
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

    def _judge(self, candidate: Candidate) -> dict[Window, Look]:
        everything = self._spec.model_copy(update={"columns": (), "exclude": ()})
        sides = (
            (as_table(self._history.features), candidate.reference.features, self._spec),
            (
                as_table(judged_answers(candidate.answers)),
                candidate.reference.predictions,
                everything,
            ),
        )
        found = []
        for table, reference, spec in sides:
            cut = profile_windows(table, window_of=self._numbers, edges_from=reference)
            limits = Limits(reference, spec)
            found.append(
                {number: _verdicts(reference, one, spec, limits) for number, one in cut.items()}
            )
        empty: tuple[ColumnVerdict, ...] = ()
        counts = {one["values"]: one["counts"] for one in self._numbers.value_counts().to_pylist()}
        return {
            window: Look(
                window=window,
                rows=counts.get(number, 0),
                features=found[0].get(number, empty),
                predictions=found[1].get(number, empty),
                source="the champion's answers",
            )
            for number, window in enumerate(self._windows)
        }


def _verdicts(
    reference: TableProfile, current: TableProfile, spec: DriftSpec, limits: Limits
) -> tuple[ColumnVerdict, ...]:
    if current.rows < spec.minimum_rows:
        return (too_few_rows(reference, current, spec=spec),)
    return tuple(judge_drift(reference, current, spec=spec, limits=limits))
