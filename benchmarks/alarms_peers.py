"""The default rules of Evidently and NannyML, written out from their code. An alarm is any column's."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy.spatial.distance import jensenshannon
from scipy.stats import wasserstein_distance


@dataclass(eq=False)
class Sides:
    """The reference and the windows to judge, column by column."""

    past: pa.Table
    rows: pa.Table
    size: int = field(kw_only=True)
    windows: int = field(kw_only=True)

    @cached_property
    def columns(self) -> dict[str, tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]]:
        """Both sides of each column as numbers, labels as codes, without missing values."""
        return {name: self._numbers(name) for name in self.past.column_names}

    def _numbers(self, name: str) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        past, now = self.past[name], self.rows[name]
        if name.startswith("c"):
            labels = past.unique().sort()
            past, now = (pa.compute.index_in(one, labels) for one in (past, now))
        return past.to_numpy().astype(float), now.to_numpy().astype(float)

    def window(self, number: int, name: str) -> npt.NDArray[np.float64]:
        """The values of one window."""
        values = self.columns[name][1][number * self.size : (number + 1) * self.size]
        return values[~np.isnan(values)]

    def reference(self, name: str) -> npt.NDArray[np.float64]:
        """The values of the reference."""
        values = self.columns[name][0]
        return values[~np.isnan(values)]


def evidently_default(sides: Sides) -> int:
    """Count alarms: W1 / sd of the reference, of labels the Jensen-Shannon distance, both from 0.1.

    That is its choice for a reference of more than 1,000 rows.
    """
    alarms: npt.NDArray[np.bool_] = np.zeros(sides.windows, dtype=bool)
    for name in sides.columns:
        before = sides.reference(name)
        norm = max(before.std(), 1e-3)
        shares = _shares(before) if name.startswith("c") else None
        # The exact distance to a large sample is that to its quantiles within 0.001 sd.
        brief = np.quantile(before, (np.arange(4_000) + 0.5) / 4_000) if shares is None else before
        for number in range(sides.windows):
            now = sides.window(number, name)
            if shares is None:
                moved = wasserstein_distance(brief, now) / norm
            else:
                moved = float(jensenshannon(shares, _shares(now, len(shares)), base=2))
            alarms[number] |= moved >= 0.1
    return int(alarms.sum())


def nannyml_default(sides: Sides) -> int:
    """Count alarms: Jensen-Shannon over the mean plus three deviations of the reference's chunks.

    Chunks are as long as a window, which is what its users declare (its own default is ten chunks).
    """
    alarms: npt.NDArray[np.bool_] = np.zeros(sides.windows, dtype=bool)
    for name, (past, _) in sides.columns.items():
        before = sides.reference(name)
        edges = None if name.startswith("c") else np.histogram_bin_edges(before, bins="doane")
        shares = _binned(before, edges)
        # Its chunks are compared with a reference that contains them.
        chunks = [part[~np.isnan(part)] for part in np.array_split(past, len(past) // sides.size)]
        known = [float(jensenshannon(shares, _binned(one, edges), base=2)) for one in chunks]
        limit = np.mean(known) + 3 * np.std(known)
        for number in range(sides.windows):
            now = _binned(sides.window(number, name), edges)
            alarms[number] |= float(jensenshannon(*_padded(shares, now), base=2)) > limit
    return int(alarms.sum())


def _shares(codes: npt.NDArray[np.float64], kinds: int = 0) -> npt.NDArray[np.float64]:
    return np.bincount(codes.astype(int), minlength=kinds) / max(len(codes), 1)


def _binned(
    values: npt.NDArray[np.float64], edges: npt.NDArray[np.float64] | None
) -> npt.NDArray[np.float64]:
    if edges is None:
        return _shares(values, 32)
    counts = np.histogram(values, edges)[0] / len(values)
    return np.append(counts, max(1 - counts.sum(), 0.0))


def _padded(
    a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    size = max(len(a), len(b))
    return np.pad(a, (0, size - len(a))), np.pad(b, (0, size - len(b)))


PEERS: Mapping[str, Callable[[Sides], int]] = {
    "Evidently, any column": evidently_default,
    "NannyML, any column": nannyml_default,
}
