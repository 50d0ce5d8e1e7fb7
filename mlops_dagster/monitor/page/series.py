"""One metric by window, as the table `performance` has it. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from mlops_dagster.monitor.page.axis import Axis, Scale, in_order, starts
from mlops_dagster.monitor.page.facts import Facts
from mlops_dagster.monitor.page.heat import window_of
from mlops_dagster.monitor.page.shapes import Mark, lines
from mlops_dagster.monitor.windows import Window
from mlops_dagster.records import Finding, Outcome

SIGNAL_OF = {"labelled": "performance", "estimated": "estimated_performance"}
Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One metric's rows by window, of one kind, and what was found of them."""

    kind: str
    rows: dict[Window, Row]
    found: dict[Window, Finding]

    def points(self, axis: Axis, scale: Scale, key: str = "value") -> list[str]:
        """Write lines through neighbouring windows; where one has no value, a new one begins."""
        return lines(axis, scale, {window: row[key] for window, row in self.rows.items()})

    def marks(self, axis: Axis, scale: Scale) -> list[Mark]:
        """Put a mark on each window, another one where there is an alarm."""
        marks = []
        for window, row in self.rows.items():
            finding = self.found.get(window)
            alarm = finding is not None and finding.outcome is Outcome.REFUSED
            limit = f", limit {finding.limit:.4g}" if finding and finding.limit is not None else ""
            word = "over the limit: " if alarm else ""
            marks.append(
                Mark(
                    kind=f"{self.kind} alarm" if alarm else self.kind,
                    sign="!" if alarm else "",
                    left=axis.middle(window),
                    top=scale.place(row["value"]),
                    title=(
                        f"{starts(window)}, version {row['model_version']}: "
                        f"{word}{self.kind} {row['value']:.4g}{limit}"
                    ),
                )
            )
        return marks


def metric_of(facts: Facts) -> str | None:
    """Choose what is drawn: the loss, else what could be estimated."""
    known = [one for one in facts.history if one["metric"] and one["value"] is not None]
    if any(one["metric"] == facts.loss for one in known):
        return facts.loss
    return min((one["metric"] for one in known if one["kind"] == "estimated"), default=None)


def series_of(facts: Facts, metric: str, kind: str) -> Series:
    """Gather one metric by window, of one version each."""
    rows = chosen_rows(
        facts,
        (
            one
            for one in facts.history
            if (one["metric"], one["kind"]) == (metric, kind) and one["value"] is not None
        ),
    )
    found = {
        window_of(one): one
        for one in reversed(facts.performance)
        if (one.signal, one.subject) == (SIGNAL_OF[kind], metric)
    }
    own = {
        window: one
        for window, one in found.items()
        if window in rows and rows[window]["model_version"] == one.champion_version
    }
    return Series(kind=kind, rows=rows, found=own)


def window_of_row(row: Row) -> Window:
    """Tell the window of a row of the table `performance`."""
    return Window(start=row["window_start"], end=row["window_end"])


def chosen_rows(facts: Facts, rows: Iterable[Row]) -> dict[Window, Row]:
    """Of each window, take the version that was judged last, else the one with most labels."""
    judged = {window_of(one): one.champion_version for one in reversed(facts.performance)}
    chosen: dict[Window, tuple[Any, Row]] = {}
    for one in rows:
        window = window_of_row(one)
        own = one["model_version"] == judged.get(window)
        weight = (own, one["labels"] or 0, one["answers"] or 0)
        if window not in chosen or weight >= chosen[window][0]:
            chosen[window] = weight, one
    return {window: chosen[window][1] for window in in_order(chosen)}


def answering(facts: Facts) -> dict[Window, str]:
    """Tell whose answers stand for each window."""
    rows = chosen_rows(facts, facts.history)
    return {window: row["model_version"] for window, row in rows.items()}
