"""The map of columns by windows: how near each came to its limit. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby

from mlops_dagster.monitor.drift import EVERYTHING
from mlops_dagster.monitor.page.axis import in_order, starts
from mlops_dagster.monitor.windows import Window, batch_of
from mlops_dagster.records import Finding, Outcome

MOST_WINDOWS = 60
MOST_COLUMNS = 40
ROOMY = 16
"""Up to so many windows there is room for the number itself."""
STEPS = (0.5, 0.8, 1.0, 1.5, 3.0)
_REASON = 90


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One column in one window. `heat` is 0 to 5, `value` how many times the limit."""

    kind: str
    text: str
    title: str
    value: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One column over all windows."""

    name: str
    answers: bool
    cells: Sequence[Cell | None]
    alarms: int
    worst: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Neighbouring windows under one heading."""

    label: str
    windows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatMap:
    """The worst columns and the newest windows, and what was left out."""

    windows: Sequence[Window]
    headings: Sequence[Group]
    versions: Sequence[Group]
    rows: Sequence[Row]
    left: str
    roomy: bool


def heat_map(drift: Sequence[Finding], *, cut: bool) -> HeatMap | None:
    """Draw the map of findings, newest first; None when no window was looked at."""
    found = by_window(drift)
    everything = in_order(found)
    if cut and len(everything) > 1:  # of the oldest one only a part was read
        everything = everything[1:]
    windows = everything[-MOST_WINDOWS:]
    if not windows:
        return None
    roomy = len(windows) <= ROOMY
    keys = {
        (one.signal, _column(one)) for window in windows for one in found[window] if not _whole(one)
    }
    places: dict[tuple[Window, str, str], Finding] = {
        (window, one.signal, _column(one)): one for window in windows for one in found[window]
    }
    rows = [_row(key, windows, places, roomy=roomy) for key in keys]
    ranked = sorted(rows, key=lambda row: (-row.alarms, -row.worst, row.name))
    shown = sorted(ranked[:MOST_COLUMNS], key=lambda row: not row.answers)
    return HeatMap(
        windows=windows,
        headings=_groups(windows, starts if roomy else _heading(windows)),
        versions=_groups(windows, lambda window: str(found[window][0].champion_version)),
        rows=shown,
        left=_left_out(ranked[MOST_COLUMNS:], older=len(everything) - len(windows), cut=cut),
        roomy=roomy,
    )


def by_window(drift: Sequence[Finding]) -> dict[Window, list[Finding]]:
    """Sort findings, newest first, by window: of each, what the last champion that saw it was told."""
    found: dict[Window, list[Finding]] = {}
    for one in drift:
        there = found.setdefault(window_of(one), [])
        if not there or there[0].champion_version == one.champion_version:
            there.append(one)
    return found


def window_of(finding: Finding) -> Window:
    """Tell the window that a finding is about."""
    if finding.window_start is not None and finding.window_end is not None:
        return Window(start=finding.window_start, end=finding.window_end)
    return Window(batch=batch_of(finding.subject))


def excess(finding: Finding) -> float:
    """How many times the limit the value is; 0 when it was not judged."""
    return 0.0 if finding.value is None else finding.value / max(finding.limit or 0.0, 1e-12)


def times(value: float) -> str:
    """Write how many times the limit something is."""
    return "over 99" if value > 99 else f"{value:.2f}" if value < 10 else f"{value:.0f}"


def _column(finding: Finding) -> str:
    return (
        finding.subject.partition(" @ batch ")[0] if finding.window_end is None else finding.subject
    )


def _whole(finding: Finding) -> bool:
    return _column(finding) == EVERYTHING


def _row(
    key: tuple[str, str],
    windows: Sequence[Window],
    places: Mapping[tuple[Window, str, str], Finding],
    *,
    roomy: bool,
) -> Row:
    signal, name = key
    found = [
        places.get((window, signal, name)) or places.get((window, signal, EVERYTHING))
        for window in windows
    ]
    cells = [
        _cell(one, window, roomy=roomy) if one else None
        for one, window in zip(found, windows, strict=True)
    ]
    return Row(
        name=name,
        answers=signal == "prediction_drift",
        cells=cells,
        alarms=sum(one is not None and one.outcome is Outcome.REFUSED for one in found),
        worst=max((one.value for one in cells if one), default=0.0),
    )


def _cell(one: Finding, window: Window, *, roomy: bool) -> Cell:
    if one.value is None:
        reason = one.because.partition("not applicable, ")[2] or one.because
        said = reason if len(reason) <= _REASON else reason[: _REASON - 1] + "…"
        return Cell(kind="none", text="·", title=f"{starts(window)}: not judged, {said}")
    value = excess(one)
    alarm = one.outcome is Outcome.REFUSED
    kind = f"h{sum(value > step for step in STEPS)}"
    mark = "!" if alarm else ""
    severity = f", {one.severity} drift" if one.severity else ""
    return Cell(
        kind=f"{kind} alarm" if alarm else kind,
        text=f"{min(value, 99):.{int(value < 10)}f}{mark}" if roomy else mark,
        title=f"{starts(window)}: {times(value)} times the limit{severity}",
        value=value,
    )


def _heading(windows: Sequence[Window]) -> Callable[[Window], str]:
    """Choose what many windows are grouped under: a day, a month, a year, tens of batches."""
    first = windows[0]
    if first.start is None or first.end is None:
        return lambda window: f"{(window.batch or 0) // 10 * 10} …"
    length = first.end - first.start
    form = "%Y-%m-%d" if length < timedelta(days=1) else "%Y-%m"
    if length > timedelta(days=10):
        form = "%Y"
    return lambda window: f"{window.start:{form}}"


def _groups(windows: Sequence[Window], label: Callable[[Window], str]) -> list[Group]:
    return [
        Group(label=name, windows=len(list(each))) for name, each in groupby(windows, key=label)
    ]


def _left_out(rows: Sequence[Row], *, older: int, cut: bool) -> str:
    told = []
    if rows:
        worst, alarms = max(row.worst for row in rows), max(row.alarms for row in rows)
        said = f"at most {alarms} alarm(s) each, {times(worst)} times the limit at the worst"
        told.append(f"{len(rows)} columns with {said}")
    if older or cut:
        told.append(f"{older}{' and more' if cut else ''} older windows")
    return f"Left out: {'; '.join(told)}." if told else ""
