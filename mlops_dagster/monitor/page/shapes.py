"""Lines, bars and marks at their places in percent. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby

from mlops_dagster.monitor.page.axis import Axis, Scale
from mlops_dagster.monitor.page.facts import Facts
from mlops_dagster.monitor.windows import Window

TURNS = {"retrain": "R", "canary": "C", "rollback": "B"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """One thing at a place, in percent from the left and from the top."""

    kind: str
    sign: str
    left: float
    top: float
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Neighbouring windows of one version."""

    left: float
    width: float
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One window's bar: sizes in percent of the chart."""

    kind: str
    left: float
    width: float
    top: float
    height: float
    title: str


def lines(axis: Axis, scale: Scale, values: Mapping[Window, float | None]) -> list[str]:
    """Write a line for each run of known values; a lone one becomes a short line."""
    found: list[list[str]] = []
    line: list[str] = []
    for window in axis.windows:
        value = values.get(window)
        if value is None:
            found.append(line)
            line = []
            continue
        line.append(f"{axis.middle(window) * 10:.1f},{scale.place(value):.1f}")
    return [" ".join(each if len(each) > 1 else each * 2) for each in (*found, line) if each]


def bar_of(
    axis: Axis, window: Window, kind: str, *, share: float, title: str, below: float = 0.0
) -> Bar:
    """Draw the bar of a window, `share` of the chart high, from `below` upwards."""
    left, right = axis.span(window)
    gap = (right - left) * 0.12
    return Bar(
        kind=kind,
        left=left + gap,
        width=right - left - 2 * gap,
        top=100 * (1 - below - share),
        height=100 * share,
        title=title,
    )


def stretches(axis: Axis, versions: Mapping[Window, str]) -> list[Stretch]:
    """Join neighbouring windows of one version."""
    found = []
    ordered = [window for window in axis.windows if window in versions]
    for version, each in groupby(ordered, key=lambda window: versions[window]):
        run = list(each)
        left, right = axis.span(run[0])[0], axis.span(run[-1])[1]
        found.append(Stretch(left=left, width=right - left, label=f"v{version}"))
    return found


def turns(facts: Facts, axis: Axis) -> list[Mark]:
    """Mark what was decided and moved, where it falls into the time of the windows."""
    told = [
        (one.at, "decided", TURNS[one.action], f"{one.action}: {one.reason}")
        for one in facts.decisions
        if one.action in TURNS
    ]
    told += [
        (one.at, "moved", _SIGNS.get(one.kind, "↑"), f"{one.kind} of version {one.to_version}")
        for one in facts.moves
        if one.kind != "approval"
    ]
    marks = []
    for at, kind, sign, title in sorted(told):
        left = axis.moment(at)
        if left is not None:
            said = f"{at:%Y-%m-%d %H:%M}: {title}"
            marks.append(Mark(kind=kind, sign=sign, left=left, top=50.0, title=said))
    return marks


_SIGNS = {"rollback": "↺"}
