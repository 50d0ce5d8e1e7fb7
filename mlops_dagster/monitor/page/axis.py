"""Places on a chart, in percent of its width or height, so that it fits a phone and a desk. Pure."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from mlops_dagster.monitor.windows import Window

SEVERAL_TICKS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A number or a time at a place. A `minor` one is left out where there is little room."""

    place: float
    label: str
    minor: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """Windows from left to right: by time, or of batches, one after another."""

    windows: Sequence[Window]

    def span(self, window: Window) -> tuple[float, float]:
        """Tell where a window begins and ends."""
        if window.start is None or window.end is None:
            place = self.windows.index(window)
            return 100 * place / len(self.windows), 100 * (place + 1) / len(self.windows)
        return self._at(window.start), self._at(window.end)

    def middle(self, window: Window) -> float:
        """Tell where the middle of a window is."""
        return sum(self.span(window)) / 2

    def moment(self, at: datetime) -> float | None:
        """Tell where an instant is; None when it is not on the axis."""
        first, last = self.windows[0].start, self.windows[-1].end
        if first is None or last is None or not first <= at <= last:
            return None
        return self._at(at)

    def ticks(self) -> list[Tick]:
        """Label a few windows."""
        count = min(SEVERAL_TICKS, len(self.windows))
        places = [round(one * (len(self.windows) - 1) / max(count - 1, 1)) for one in range(count)]
        return [
            Tick(
                place=self.middle(self.windows[place]),
                label=starts(self.windows[place]),
                minor=number % 2 == 1,
            )
            for number, place in enumerate(places)
        ]

    def _at(self, moment: datetime) -> float:
        first, last = self.windows[0].start, self.windows[-1].end
        if first is None or last is None:
            return 0.0
        return 100 * ((moment - first) / (last - first))


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Numbers from the bottom to the top; places count from the top."""

    low: float
    high: float

    def place(self, value: float) -> float:
        """Tell where a number is; what lies outside is put at the edge."""
        share = (value - self.low) / (self.high - self.low)
        return 100 * (1 - min(max(share, 0.0), 1.0))

    def ticks(self) -> list[Tick]:
        """Label a few round numbers."""
        step = _round_step((self.high - self.low) / 4)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [
            Tick(place=self.place(one * step), label=f"{one * step:.6g}")
            for one in range(first, last + 1)
        ]


def scale_of(values: Iterable[float], *, zero: bool = False) -> Scale:
    """Choose a scale on which all numbers are seen."""
    known = [one for one in values if math.isfinite(one)] or [0.0]
    low, high = min(known), max(known)
    pad = (high - low) * 0.12 or abs(high) * 0.1 or 1.0
    return Scale(low=0.0 if zero else low - pad, high=high + pad)


def starts(window: Window) -> str:
    """Name a window shortly: by its start."""
    if window.start is None or window.end is None:
        return window.label
    short = window.end - window.start < timedelta(days=1)
    return f"{window.start:%Y-%m-%d %H:%M}" if short else f"{window.start:%Y-%m-%d}"


def in_order(windows: Iterable[Window]) -> list[Window]:
    """Sort windows, the oldest first."""
    unique = set(windows)
    timed = sorted((one for one in unique if one.start), key=lambda one: str(one.start))
    return timed or sorted(unique, key=lambda one: one.batch or 0)


def _round_step(wanted: float) -> float:
    power = 10.0 ** math.floor(math.log10(wanted))
    return next(power * one for one in (1, 2, 5, 10) if power * one >= wanted * 0.999)
