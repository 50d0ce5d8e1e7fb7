"""How often the declared drift would alarm on a model's own history. Pure: profiles in, counts out.

Each window of the history is judged against the rest of it, by the code that judges new windows, with
limits that do not know it. What alarms there is what an ordinary month would bring.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from mlops_dagster.metrics.limits import FEWEST_WINDOWS, limit_over_time
from mlops_dagster.monitor.drift import ColumnVerdict, judge_drift
from mlops_dagster.monitor.limits import Limits
from mlops_dagster.monitor.pairs import Counts, Pair
from mlops_dagster.monitor.spec import DriftSpec
from mlops_dagster.profiles.columns import TableProfile
from mlops_dagster.records import Outcome

MONTH = timedelta(days=30.4375)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What one setting would have done. `asking` are the windows with more than minor drift."""

    window: timedelta
    false_alarms: float
    judged: int
    alarming: int
    asking: int
    columns: tuple[str, ...] = ()
    too_few: str = ""

    @property
    def per_month(self) -> float:
        """Alarming windows in a month."""
        return self.alarming / max(self.judged, 1) * (MONTH / self.window)

    @property
    def asking_per_month(self) -> float:
        """Windows in a month whose drift may ask for a retrain."""
        return self.asking / max(self.judged, 1) * (MONTH / self.window)

    @property
    def at_most(self) -> float:
        """Alarming windows in a month, the upper end of the 95 % interval (Clopper and Pearson)."""
        from scipy.special import betaincinv

        if self.alarming >= self.judged:
            return MONTH / self.window
        share = betaincinv(self.alarming + 1, self.judged - self.alarming, 0.975)
        return float(share) * (MONTH / self.window)


class LimitsWithout(Limits):
    """The limits of a reference as if one of its windows had not happened yet."""

    def __init__(self, whole: Limits, drawn: dict[str, Counts], *, place: int) -> None:
        self._whole, self._drawn, self._place = whole, drawn, place

    def chance(self, pair: Pair, *, quantile: float) -> float:
        """Tell the limit of chance alone: drawn once, since a window more or less moves it little."""
        shared = replace(pair, reference=self._drawn.setdefault(pair.name, pair.reference))
        return self._whole.chance(shared, quantile=quantile)

    def over_time(self, pair: Pair, *, quantile: float) -> float | None:
        """Tell the distance that the other windows stay under."""
        known = self._whole.differences(pair)
        others = [distance for place, distance in known.items() if place != self._place]
        return limit_over_time(others, quantile=quantile)


def expected_alarms(
    history: TableProfile, spec: DriftSpec, rates: Sequence[float]
) -> Iterator[Expected]:
    """Judge each window of the history against the rest, at each rate of false alarms."""
    limits = Limits(history, spec)
    windows = limits.windows()
    if not windows:
        enough = sum(one.rows >= spec.minimum_rows for one in history.windows)
        told = (
            f"{enough} of {len(history.windows)} complete windows have {spec.minimum_rows:,} rows; "
            f"at least {FEWEST_WINDOWS} are needed"
        )
        for rate in rates:
            yield Expected(
                window=spec.window, false_alarms=rate, judged=0, alarming=0, asking=0, too_few=told
            )
        return
    for rate in rates:
        yield _expected(windows, limits, spec.model_copy(update={"false_alarms": rate}))


def _expected(
    windows: Sequence[tuple[TableProfile, TableProfile]], limits: Limits, spec: DriftSpec
) -> Expected:
    drawn: dict[str, Counts] = {}
    found = [
        _alarms(LimitsWithout(limits, drawn, place=place), spec, rest=rest, window=window)
        for place, (rest, window) in enumerate(windows)
    ]
    worst: dict[str, int] = {}
    for verdicts in found:
        for one in verdicts:
            worst[one.column] = worst.get(one.column, 0) + 1
    return Expected(
        window=spec.window,
        false_alarms=spec.false_alarms,
        judged=len(windows),
        alarming=sum(bool(verdicts) for verdicts in found),
        asking=sum(any(one.severity != "minor" for one in verdicts) for verdicts in found),
        columns=tuple(sorted(worst, key=lambda name: -worst[name])),
    )


def _alarms(
    limits: Limits, spec: DriftSpec, *, rest: TableProfile, window: TableProfile
) -> list[ColumnVerdict]:
    verdicts = judge_drift(rest, window, spec=spec, limits=limits)
    return [one for one in verdicts if one.outcome is Outcome.REFUSED]
