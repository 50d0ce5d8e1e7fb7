"""The metric over time with its limit, beside versions and decisions. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from mlops_dagster.monitor.page.axis import Axis, Scale, Tick, in_order, scale_of, starts
from mlops_dagster.monitor.page.facts import MOST_METRIC_WINDOWS, Facts
from mlops_dagster.monitor.page.heat import by_window
from mlops_dagster.monitor.page.series import Series, answering, metric_of, series_of, window_of_row
from mlops_dagster.monitor.page.shapes import Bar, Mark, Stretch, bar_of, lines, stretches, turns
from mlops_dagster.monitor.windows import Window
from mlops_dagster.records import Finding, Outcome

ROOMY = 80
"""Of more windows only the alarms have a mark; the line shows the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """What is drawn over time. Lines are points of SVG in a box of 1000 by 100.

    `by` says what the versions below did: they answered, or a window was judged against them.
    """

    title: str
    summary: str
    axis_ticks: Sequence[Tick]
    ticks: Sequence[Tick]
    by: str
    versions: Sequence[Stretch]
    turns: Sequence[Mark]
    labelled: Sequence[str] = ()
    estimated: Sequence[str] = ()
    band: Sequence[str] = ()
    limits: Sequence[str] = ()
    bars: Sequence[Bar] = ()
    marks: Sequence[Mark] = ()
    dense: bool = False


def timeline(facts: Facts) -> Timeline | None:
    """Draw the loss of labelled answers and the expected one; without both, alarms of drift."""
    metric = metric_of(facts)
    if metric is None:
        return _alarms(facts)
    labelled, estimated = (series_of(facts, metric, kind) for kind in ("labelled", "estimated"))
    axis = Axis(windows=in_order(window_of_row(one) for one in facts.history))
    limits = _limits(labelled, estimated)
    seen = [*limits.values(), *(row["value"] for row in labelled.rows.values())]
    for row in estimated.rows.values():
        seen += [row["value"], row["low"], row["high"]]
    scale = scale_of(one for one in seen if one is not None)
    return Timeline(
        title=f"{metric.replace('_', ' ')} by window",
        summary=_summary(labelled, estimated),
        axis_ticks=axis.ticks(),
        ticks=scale.ticks(),
        by="answers of",
        versions=stretches(axis, answering(facts)),
        turns=turns(facts, axis),
        labelled=labelled.points(axis, scale),
        estimated=estimated.points(axis, scale),
        band=_band(axis, scale, estimated),
        limits=lines(axis, scale, limits),
        marks=[*estimated.marks(axis, scale), *labelled.marks(axis, scale)],
        dense=len(axis.windows) > ROOMY,
    )


def _limits(labelled: Series, estimated: Series) -> dict[Window, float | None]:
    """The limit of what is labelled; where nothing is, that of the estimate."""
    both = estimated.found | labelled.found
    return {window: both[window].limit for window in in_order(both)}


def _summary(labelled: Series, estimated: Series) -> str:
    told = []
    for word, one in (("With labels", labelled), ("Estimated", estimated)):
        if one.rows:
            window, row = list(one.rows.items())[-1]
            alarms = sum(finding.outcome is Outcome.REFUSED for finding in one.found.values())
            said = f"{word} {row['value']:.4g} in {window.label}"
            told.append(f"{said}; {alarms} of {len(one.rows)} windows over the limit.")
    return " ".join(told)


# --- ALARMS OF DRIFT, WHERE THERE IS NO METRIC ---


def _alarms(facts: Facts) -> Timeline | None:
    found = by_window(facts.drift)
    windows = in_order(found)[-MOST_METRIC_WINDOWS:]
    if not windows:
        return None
    axis = Axis(windows=windows)
    counts = {window: _counts(found[window]) for window in windows}
    most = max(sum(each) for each in counts.values())
    scale = Scale(low=0.0, high=float(max(most, 1)))
    alarmed = sum(any(each) for each in counts.values())
    return Timeline(
        title="Alarms of drift by window",
        summary=(
            f"{alarmed} of {len(windows)} windows have an alarm, "
            f"{sum(counts[windows[-1]])} in the newest, {windows[-1].label}."
        ),
        axis_ticks=axis.ticks(),
        ticks=[one for one in scale.ticks() if float(one.label).is_integer()],
        by="judged against",
        versions=stretches(
            axis, {window: str(found[window][0].champion_version) for window in windows}
        ),
        turns=turns(facts, axis),
        bars=[bar for window in windows for bar in _stack(axis, window, counts[window], scale)],
    )


def _counts(found: Sequence[Finding]) -> tuple[int, int]:
    alarms = [one.signal for one in found if one.outcome is Outcome.REFUSED]
    return alarms.count("feature_drift"), alarms.count("prediction_drift")


def _stack(axis: Axis, window: Window, counts: tuple[int, int], scale: Scale) -> list[Bar]:
    features, answers = counts
    title = f"{starts(window)}: {features} alarm(s) of features, {answers} of answers"
    bars = []
    for kind, below, count in (("features", 0, features), ("answers", features, answers)):
        if count:
            bars.append(
                bar_of(
                    axis,
                    window,
                    kind,
                    share=count / scale.high,
                    below=below / scale.high,
                    title=title,
                )
            )
    return bars


def _band(axis: Axis, scale: Scale, series: Series) -> list[str]:
    lows, highs = series.points(axis, scale, "low"), series.points(axis, scale, "high")
    return [
        f"{low} {' '.join(reversed(high.split()))}" for low, high in zip(lows, highs, strict=True)
    ]
