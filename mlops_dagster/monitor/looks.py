"""What was found in each window, as findings to keep and checks to show. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from mlops_dagster.declaration import ModelIdentity
from mlops_dagster.monitor.drift import ColumnVerdict
from mlops_dagster.monitor.freshness import AgeVerdict
from mlops_dagster.monitor.windows import Window, batch_of
from mlops_dagster.records import Check, Finding, Outcome, Severity

Signal = Literal["feature_drift", "prediction_drift"]
NO_CHAMPION = "There is no champion yet. One is made by the first deployment."
NOT_DECLARED = "monitor.drift is not declared."
SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """The verdicts on one window. `source` says whose answers the predictions are."""

    window: Window
    rows: int
    features: tuple[ColumnVerdict, ...]
    predictions: tuple[ColumnVerdict, ...]
    source: str

    def verdicts(self, signal: Signal) -> tuple[ColumnVerdict, ...]:
        """The verdicts of one kind, worst first."""
        return self.features if signal == "feature_drift" else self.predictions

    @property
    def judged(self) -> bool:
        """Tell whether any column could be judged."""
        return any(one.value is not None for one in (*self.features, *self.predictions))

    def sentence(self, verdict: ColumnVerdict, *, signal: Signal) -> str:
        """Say the verdict with its window, and of predictions, whose they are."""
        whose = f" by {self.source}" if signal == "prediction_drift" else ""
        return f"{self.window.label}{whose}: {verdict.told}"


# --- FINDINGS ---


def age_finding(
    model: ModelIdentity,
    verdict: AgeVerdict,
    *,
    signal: Literal["data_age", "model_age"],
    at: datetime,
    champion: str | None,
) -> Finding:
    """Write down how old something is, in hours."""
    return Finding(
        model=model.name,
        segment=model.segment,
        signal=signal,
        subject="data" if signal == "data_age" else "champion",
        outcome=verdict.outcome,
        value=verdict.hours,
        limit=verdict.limit_hours,
        rows=0,
        window_start=None,
        window_end=None,
        at=at,
        because=verdict.because,
        champion_version=champion,
    )


def drift_findings(
    model: ModelIdentity, look: Look, *, at: datetime, champion: str
) -> list[Finding]:
    """Write down every verdict on one window."""
    signals: tuple[Signal, ...] = ("feature_drift", "prediction_drift")
    return [
        Finding(
            model=model.name,
            segment=model.segment,
            signal=signal,
            subject=look.window.subject(verdict.column),
            outcome=verdict.outcome,
            value=verdict.value,
            limit=verdict.limit,
            rows=verdict.rows,
            window_start=look.window.start,
            window_end=look.window.end,
            at=at,
            because=f"{look.sentence(verdict, signal=signal)} {verdict.note}".strip(),
            champion_version=champion,
            severity=verdict.severity,
        )
        for signal in signals
        for verdict in look.verdicts(signal)
    ]


# --- CHECKS ---


def age_check(name: str, verdict: AgeVerdict) -> Check:
    """Show an age."""
    return Check(
        name=name, outcome=verdict.outcome, because=verdict.because, severity=Severity.WARNING
    )


def drift_check(signal: Signal, looks: Sequence[Look], *, before: Sequence[Finding]) -> Check:
    """Show the drift of the windows judged now, or when none was, of the last one judged `before`."""
    if not looks:
        return _check(signal, *_verdict_before(signal, before))
    judged = [(look, verdict) for look in looks for verdict in look.verdicts(signal)]
    alarms = [pair for pair in judged if pair[1].outcome is Outcome.REFUSED]
    if alarms:
        return _check(signal, Outcome.REFUSED, _alarm_sentence(signal, looks, alarms))
    passed = [pair for pair in judged if pair[1].outcome is Outcome.PASSED]
    if not passed:
        reason = judged[-1][1].told if judged else "nothing to compare."
        because = f"{len(looks)} window(s) looked at, none could be judged. Last: {reason}"
        return _check(signal, Outcome.NOT_APPLICABLE, because)
    look, nearest = max(passed, key=lambda pair: pair[1].excess)
    windows = len({id(pair[0]) for pair in passed})
    told = look.sentence(nearest, signal=signal)
    because = f"No drift in {windows} of {len(looks)} window(s) judged. Nearest to its limit: {told} {nearest.note}"
    return _check(signal, Outcome.PASSED, because.strip())


def not_compared_check(signal: Signal, *, declared: bool) -> Check:
    """Say why nothing was compared: drift is not declared, or there is no champion."""
    because = NO_CHAMPION if declared else NOT_DECLARED
    return _check(signal, Outcome.NOT_APPLICABLE, because)


def last_judged(before: Sequence[Finding]) -> datetime | None:
    """Find the end of the last window in findings."""
    return max((one.window_end for one in before if one.window_end is not None), default=None)


def last_window(before: Sequence[Finding]) -> Window | None:
    """Find the last window in findings of which any column was judged."""
    judged = [one for one in before if one.value is not None]
    timed = [one for one in judged if one.window_end is not None]
    if timed:
        last = max(timed, key=lambda one: str(one.window_end))
        return Window(start=last.window_start, end=last.window_end)
    batch = max(judged_batches(judged), default=None)
    return None if batch is None else Window(batch=batch)


def judged_batches(before: Sequence[Finding]) -> set[int]:
    """List the batches in findings."""
    found = {batch_of(one.subject) for one in before if one.window_end is None}
    return {batch for batch in found if batch is not None}


def _verdict_before(signal: Signal, before: Sequence[Finding]) -> tuple[Outcome, str]:
    of_signal = [one for one in before if one.signal == signal]
    end, batch = last_judged(of_signal), max(judged_batches(of_signal), default=None)
    last = [one for one in of_signal if one.window_end == end and batch_of(one.subject) == batch]
    if not last:
        return (
            Outcome.NOT_APPLICABLE,
            "No complete window has passed since the champion's own rows.",
        )
    for outcome in (Outcome.REFUSED, Outcome.PASSED):
        said = [one for one in last if one.outcome is outcome]
        if said:
            worst = max(said, key=lambda one: (one.value or 0.0) / max(one.limit or 0.0, 1e-12))
            return outcome, f"No new complete window. The last one: {worst.because}"
    return Outcome.NOT_APPLICABLE, f"No new complete window. The last one: {last[-1].because}"


def _alarm_sentence(
    signal: Signal, looks: Sequence[Look], alarms: Sequence[tuple[Look, ColumnVerdict]]
) -> str:
    windows = len({id(look) for look, _ in alarms})
    worst = sorted(alarms, key=lambda pair: -pair[1].excess)[:SHOWN]
    told = " ".join(look.sentence(verdict, signal=signal) for look, verdict in worst)
    rest = len(alarms) - len(worst)
    more = f" And {rest} more alarm(s)." if rest else ""
    said = f"{windows} of {len(looks)} window(s) drifted. Worst: {told}{more} {worst[0][1].note}"
    return said.strip()


def _check(signal: Signal, outcome: Outcome, because: str) -> Check:
    return Check(name=signal, outcome=outcome, because=because, severity=Severity.WARNING)
