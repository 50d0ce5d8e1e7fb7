"""What is wrong now, from findings. Pure.

An incident is one signal of one model, however many columns or windows it is about. It is open while
the newest look at that signal found something over its limit, and over when a look found nothing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from mlops_dagster.declaration import write_duration
from mlops_dagster.records import Finding, Outcome

SHOWN = 3
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """What the newest look says of one signal. `wrong` is None when it could not tell."""

    kind: str
    wrong: bool | None
    because: str


def sightings(findings: Sequence[Finding], signals: Iterable[str]) -> list[Sighting]:
    """Say of each signal that was ever looked at whether something is wrong now."""
    found = []
    for signal in signals:
        looked = [one for one in findings if one.signal == signal]
        if newest := newest_look(looked):
            found.append(_sighting(signal, newest))
    return found


def overdue(
    last_look: datetime | None, *, now: datetime, limit: timedelta | None
) -> Sighting | None:
    """Say whether the model was looked at lately; None where that is not declared, or nothing ran yet."""
    if limit is None or last_look is None:
        return None
    age = now - last_look
    told = f"The last look was at {last_look:%Y-%m-%d %H:%M} UTC, {age / _HOUR:.1f} h ago"
    because = f"{told}; the limit is {write_duration(limit)}."
    return Sighting(kind="overdue", wrong=age > limit, because=because)


def newest_look(findings: Sequence[Finding]) -> list[Finding]:
    """Pick the findings of the newest window, or without windows, of the newest time."""
    if not findings:
        return []
    last = max((one.window, one.at) for one in findings)
    if last[0]:
        return [one for one in findings if one.window == last[0]]
    return [one for one in findings if one.at == last[1]]


def _sighting(signal: str, newest: Sequence[Finding]) -> Sighting:
    wrong = [one for one in newest if one.outcome is Outcome.REFUSED and one.severity != "minor"]
    if wrong:
        worst = sorted(wrong, key=lambda one: -(one.value or 0) / (one.limit or 1))[:SHOWN]
        rest = f" And {len(wrong) - SHOWN} more." if len(wrong) > SHOWN else ""
        told = " ".join(one.because for one in worst)
        return Sighting(kind=signal, wrong=True, because=told + rest)
    judged = [one for one in newest if one.outcome is not Outcome.NOT_APPLICABLE]
    if not judged:
        return Sighting(kind=signal, wrong=None, because=newest[0].because)
    return Sighting(kind=signal, wrong=False, because=judged[-1].because)
