"""Made-up rows for the measurement of alarms: thirty columns, with or without wobble, one of them moved."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

NUMBERS, LABELS = 20, 10
WOBBLE_SD = 0.03
MOVED = "n00"


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """What happens to one column of numbers, in its standard deviations."""

    name: str = "quiet"
    shift: float = 0.0
    stretch: float = 1.0


QUIET = Drift()
DRIFTS = (Drift(name="+0.25 sd", shift=0.25), Drift(name="sd x 1.2", stretch=1.2))


def rows_of(
    windows: int, size: int, chance: np.random.Generator, *, wobble: bool, drift: Drift = QUIET
) -> pa.Table:
    """Make `windows` windows of `size` rows, one after the other."""
    total = windows * size
    columns: dict[str, pa.Array] = {}
    for number in range(NUMBERS):
        values = _numbers(number, total, chance)
        if number == 0:
            values = values * drift.stretch + drift.shift
        if wobble:
            spread = values.std()
            values += np.repeat(chance.normal(scale=WOBBLE_SD * spread, size=windows), size)
        missing = chance.random(total) < 0.05 if number % 10 == 9 else None
        columns[f"n{number:02d}"] = pa.array(values, mask=missing)
    for number in range(LABELS):
        columns[f"c{number:02d}"] = pa.array(_labels(number, total, chance))
    return pa.table(columns)


def _numbers(number: int, rows: int, chance: np.random.Generator) -> npt.NDArray[np.float64]:
    match number % 10:
        case 6 | 7:
            return chance.lognormal(size=rows)
        case 8:
            return chance.standard_t(3, size=rows)
        case 9:
            return chance.gamma(2.0, size=rows)
        case _:
            return chance.normal(size=rows)


def _labels(number: int, rows: int, chance: np.random.Generator) -> npt.NDArray[np.str_]:
    kinds = (2, 3, 4, 5, 6, 8, 10, 12, 16, 24)[number % 10]
    weights = 1 / np.arange(1, kinds + 1) ** (number % 3 / 2)
    names = np.array([f"k{one:02d}" for one in range(kinds)])
    return names[chance.choice(kinds, size=rows, p=weights / weights.sum())]
