"""What drifted in each new window of a champion, and the newest window for the page."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from mlops_dagster.monitor.champion import Champion
from mlops_dagster.monitor.drift import judge_window
from mlops_dagster.monitor.due import windows_due
from mlops_dagster.monitor.evidence import Evidence, Join, gather
from mlops_dagster.monitor.limits import Limits
from mlops_dagster.monitor.looks import (
    Look,
    Signal,
    drift_check,
    last_window,
    not_compared_check,
)
from mlops_dagster.monitor.page.facts import Current
from mlops_dagster.monitor.show import picture, worst_columns
from mlops_dagster.monitor.spec import DriftSpec, MonitorSpec
from mlops_dagster.monitor.windows import Window
from mlops_dagster.records import Check, Finding, Shown, Snapshot
from mlops_dagster.workbench import StepContext

_READERS = 2
SIGNALS: tuple[Signal, ...] = ("feature_drift", "prediction_drift")


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftSeen:
    """What one look found of drift; `current` is the newest window that could be judged."""

    looks: Sequence[Look] = ()
    shown: dict[str, Shown] = field(default_factory=dict)
    current: Current | None = None


def watch_drift(
    context: StepContext,
    spec: DriftSpec,
    validated: Snapshot,
    champion: Champion,
    *,
    before: Sequence[Finding],
    kept: str,
    join: Join,
) -> DriftSeen:
    """Judge each complete window since the findings `before`, the oldest first.

    `kept` are the worst columns as the last page shows them, if it does.
    """
    due = windows_due(context, spec, validated, reference=champion.reference, before=before)
    watch = Watch(context, champion, spec)
    seen = list(watch.look(validated, due[: spec.most_windows], join=join))
    # To judge the last window again takes seconds, and the last page may show it already.
    last = None if kept else last_window(before)
    return DriftSeen(
        looks=[look for look, _ in seen],
        shown=_shown(champion, seen, left=len(due) - len(seen)),
        current=watch.newest(validated, seen, last=last, join=join),
    )


class Watch:
    """One champion being looked at; its limits are drawn once for all windows."""

    def __init__(self, context: StepContext, champion: Champion, spec: DriftSpec) -> None:
        self._context, self._champion, self._spec = context, champion, spec
        everything = spec.model_copy(update={"columns": (), "exclude": ()})
        self._spec_of_predictions = everything
        self._of_features = Limits(champion.reference.features, spec)
        self._of_predictions = Limits(champion.reference.predictions, everything, apart=True)

    def look(
        self, validated: Snapshot, windows: Sequence[Window], *, join: Join
    ) -> Iterator[tuple[Look, Evidence]]:
        """Judge window after window; the next ones are read meanwhile, a few at a time."""
        read = partial(
            gather,
            self._context,
            self._champion,
            validated,
            enough=self._spec.minimum_rows,
            join=join,
        )
        for done in self._context.bench.compute.map_tasks(read, windows, workers=_READERS):
            evidence = done.value()
            look = self._judge(evidence)
            self._context.log.info(f"{evidence.window.label}: {evidence.rows:,} rows judged.")
            yield look, evidence

    def newest(
        self,
        validated: Snapshot,
        seen: Sequence[tuple[Look, Evidence]],
        *,
        last: Window | None,
        join: Join,
    ) -> Current | None:
        """Give the newest window that could be judged: of those just seen, else the `last` before."""
        judged = [pair for pair in seen if pair[0].judged]
        if not judged and last is not None:
            again = self.look(validated, [last], join=join)
            judged = [pair for pair in again if pair[0].judged]
        if not judged:
            return None
        look, evidence = judged[-1]
        return Current(reference=self._champion.reference, look=look, evidence=evidence)

    def _judge(self, evidence: Evidence) -> Look:
        reference = self._champion.reference
        sides = (
            (reference.features, evidence.features, self._spec, self._of_features),
            (
                reference.predictions,
                evidence.predictions,
                self._spec_of_predictions,
                self._of_predictions,
            ),
        )
        features, predictions = (
            judge_window(reference, current, spec=spec, limits=limits)
            for reference, current, spec, limits in sides
        )
        return Look(
            window=evidence.window,
            rows=evidence.rows,
            features=features,
            predictions=predictions,
            source=evidence.source,
        )


def drift_checks(
    spec: MonitorSpec,
    looks: Sequence[Look],
    *,
    version: str | None,
    before: Sequence[Finding],
) -> list[Check]:
    """Give the check of each signal; without a champion, or undeclared, it says so."""
    if spec.drift is None or version is None:
        return [not_compared_check(signal, declared=spec.drift is not None) for signal in SIGNALS]
    return [drift_check(signal, looks, before=before) for signal in SIGNALS]


def _shown(
    champion: Champion, seen: Sequence[tuple[Look, Evidence]], *, left: int
) -> dict[str, Shown]:
    told = {
        "reference": Shown(
            kind="text",
            value=(
                f"version {champion.version}: {champion.reference.rows:,} rows in "
                f"{champion.reference.windows} complete windows"
            ),
        )
    }
    if left > 0:
        told["windows_left"] = Shown(kind="integer", value=left)
    if seen:
        table = worst_columns([look for look, _ in seen])
        told["worst_columns"] = Shown(kind="markdown", value=table)
        told |= picture(champion.reference, seen)
    return told
