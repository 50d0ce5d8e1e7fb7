"""What people see of answers held against labels: checks, a table, where labels came from. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from mlops_dagster.metrics.estimated import BLIND
from mlops_dagster.monitor.label_places import Places
from mlops_dagster.monitor.measured import LossVerdict, Measured, PerformanceSignal
from mlops_dagster.monitor.windows import Window
from mlops_dagster.records import Check, Finding, Outcome, Severity

SIGNALS: tuple[PerformanceSignal, ...] = (
    "performance",
    "slice_performance",
    "slice_drift",
    "estimated_performance",
)
NOTHING = "No complete window of the champion's answers yet."
MOST_ROWS = 40
SHOWN = 3

Judged = Sequence[tuple[Measured, Sequence[LossVerdict]]]


def performance_checks(judged: Judged, *, before: Sequence[Finding]) -> tuple[Check, ...]:
    """Show the windows measured now, or when nothing changed, what was found last."""
    return tuple(_check(signal, judged, before) for signal in SIGNALS)


def not_watched_checks(because: str) -> tuple[Check, ...]:
    """Say why nothing was measured."""
    return tuple(
        Check(
            name=signal,
            outcome=Outcome.NOT_APPLICABLE,
            because=because,
            severity=Severity.WARNING,
        )
        for signal in SIGNALS
    )


def _check(signal: PerformanceSignal, judged: Judged, before: Sequence[Finding]) -> Check:
    found = [
        (measured, one) for measured, verdicts in judged for one in verdicts if one.signal == signal
    ]
    now = {(measured.window.start, one.subject) for measured, one in found}
    told = [
        (f"{measured.window.label}: {one.told}", one.outcome, one.excess) for measured, one in found
    ]
    # What was found of other windows still stands: their answers and labels did not change.
    told += [
        (one.because, one.outcome, (one.value or 0.0) / max(one.limit or 0.0, 1e-12))
        for one in before
        if one.signal == signal and (one.window_start, one.subject) not in now
    ]
    outcome, because = _worst(told)
    return Check(name=signal, outcome=outcome, because=because, severity=Severity.WARNING)


def _worst(told: Sequence[tuple[str, Outcome, float]]) -> tuple[Outcome, str]:
    if not told:
        return Outcome.NOT_APPLICABLE, NOTHING
    for outcome, said in (
        (Outcome.REFUSED, "over the limit. Worst:"),
        (Outcome.PASSED, "within the limit. Nearest to it:"),
    ):
        chosen = sorted((one for one in told if one[1] is outcome), key=lambda one: -one[2])
        if chosen:
            listed = chosen[: SHOWN if outcome is Outcome.REFUSED else 1]
            sentences = " ".join(sentence for sentence, _, _ in listed)
            return outcome, f"{len(chosen)} of {len(told)} judged {said} {sentences}"
    return Outcome.NOT_APPLICABLE, told[-1][0]


def places_sentence(places: Places, windows: Sequence[Window]) -> str:
    """Say where labels came from, and what could not be read."""
    told = [f"{one.rows.num_rows:,} from {one.place}" for one in places.all]
    said = f"Labels known: {', '.join(told) or 'none'}."
    for place, count in places.unreadable.items():
        said += f" {count:,} from {place} are no values of the target and are left out."
    if windows:
        said += f" Windows {windows[0].label} … {windows[-1].label}."
    return said


def performance_table(history: Sequence[Mapping[str, Any]], *, at: datetime) -> str:
    """Draw a line for each window, version and kind, newest first."""
    whole = [one for one in history if not one["slice"]]
    names = sorted({one["metric"] for one in whole})
    lines: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for one in whole:
        key = (one["window_start"], one["window_end"], one["model_version"], one["kind"])
        lines.setdefault(key, []).append(one)
    head = f"| window | version | | {' | '.join(names)} | labels | coverage | as of |\n"
    rule = "|---|---|---|" + "---:|" * (len(names) + 2) + "---|\n"
    ordered = sorted(
        lines.items(), key=lambda pair: (pair[0][0], pair[0][2], pair[0][3]), reverse=True
    )
    body = "\n".join(_line(key, each, names) for key, each in ordered[:MOST_ROWS])
    estimated = f"\n\n{BLIND}" if any(one["kind"] == "estimated" for one in whole) else ""
    return f"{head}{rule}{body}\n\nAll is as known at {at:%Y-%m-%d %H:%M} UTC.{estimated}"


def _line(key: tuple[Any, ...], each: Sequence[Mapping[str, Any]], names: Sequence[str]) -> str:
    start, end, version, kind = key
    found = {one["metric"]: one for one in each}
    cells = [_cell(found[name]) if name in found else "" for name in names]
    one = each[0]
    window = Window(start=start, end=end).label
    known = (f"{one['labels']:,}", f"{one['coverage']:.0%}", f"{one['as_of']:%Y-%m-%d %H:%M}")
    return f"| {window} | {version} | {kind} | {' | '.join(cells)} | {' | '.join(known)} |"


def _cell(one: Mapping[str, Any]) -> str:
    if one["kind"] != "estimated":
        return f"{one['value']:.4f}"
    return f"{one['value']:.4f} ({one['low']:.3f} to {one['high']:.3f})"
