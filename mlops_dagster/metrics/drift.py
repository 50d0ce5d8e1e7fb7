"""How far counts moved between two tables that were binned alike. 0 is not at all.

Counts are of the same bins in the same order; the bins are the last axis, so many pairs can be
measured at once. An empty side gives nan.
"""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Counts: TypeAlias = npt.ArrayLike
Floats: TypeAlias = npt.NDArray[np.float64]


def shares(counts: Counts, *, added: float = 0.0) -> Floats:
    """Turn counts into shares; `added` is given to each bin first."""
    filled = np.asarray(counts, dtype=np.float64) + added
    total = filled.sum(axis=-1, keepdims=True)
    empty = np.full_like(filled, np.nan)
    return np.asarray(np.divide(filled, total, out=empty, where=total > 0))


def psi(reference: Counts, current: Counts) -> Floats:
    """Measure the population stability index in nats, with half a row added to each bin."""
    p, q = shares(current, added=0.5), shares(reference, added=0.5)
    return np.asarray(np.sum((p - q) * np.log(p / q), axis=-1))


def jensen_shannon(reference: Counts, current: Counts) -> Floats:
    """Measure the Jensen-Shannon distance: the root of the divergence in nats, 0 to 0.8326."""
    p, q = shares(current), shares(reference)
    middle = (p + q) / 2
    halves = _kullback_leibler(p, middle) + _kullback_leibler(q, middle)
    return np.asarray(np.sqrt(np.maximum(halves / 2, 0.0)))


def ks(reference: Counts, current: Counts) -> Floats:
    """Measure the largest gap of the two distribution functions at the bins' edges, 0 to 1."""
    return np.asarray(np.abs(_gap(reference, current)).max(axis=-1, initial=0.0))


def wasserstein(
    reference: Counts,
    current: Counts,
    *,
    bounds: Counts,
    steps: bool = False,
) -> Floats:
    """Measure how far a row moved on average, in the unit of `bounds`: divide by a spread to compare.

    `bounds` are the bins' ends, the two outermost included, one more than there are bins. Within a
    bin rows are taken as spread evenly, or with `steps` (each value is a bin's upper end) as standing
    there; in the two outer bins as spread evenly in any case.
    """
    gaps = _gap(reference, current)
    none = np.zeros((*gaps.shape[:-1], 1))
    ends = np.concatenate([none, gaps, none], axis=-1)
    left, right = ends[..., :-1], ends[..., 1:]
    heights = _mean_height(left, right)
    if steps:
        heights[..., 1:-1] = np.abs(left[..., 1:-1])
    return np.asarray(np.sum(heights * np.diff(np.asarray(bounds, dtype=np.float64)), axis=-1))


def chi2(reference: Counts, current: Counts) -> tuple[float, float]:
    """Test whether two samples have the same shares: the statistic and its p-value.

    Both sides are samples; neither is taken as exact. Bins that are empty on both sides are left out.
    """
    from scipy.special import chdtrc

    table = np.array([reference, current], dtype=np.float64)
    table = table[:, table.sum(axis=0) > 0]
    sizes = table.sum(axis=1, keepdims=True)
    if table.shape[1] < 2 or not sizes.all():
        return float("nan"), float("nan")
    expected = sizes * table.sum(axis=0) / table.sum()
    statistic = float(np.sum((table - expected) ** 2 / expected))
    return statistic, float(chdtrc(table.shape[1] - 1, statistic))


def _kullback_leibler(p: Floats, q: Floats) -> Floats:
    p, q = np.broadcast_arrays(p, q)
    ratio = np.divide(p, q, out=np.ones_like(p), where=p > 0)
    return np.asarray(np.sum(p * np.log(ratio), axis=-1))


def _gap(reference: Counts, current: Counts) -> Floats:
    difference = shares(current) - shares(reference)
    return np.asarray(np.cumsum(difference, axis=-1)[..., :-1])


def _mean_height(left: Floats, right: Floats) -> Floats:
    """Mean of |line from left to right|: where it crosses zero, two triangles."""
    a, b = np.abs(left), np.abs(right)
    total = a + b
    crossed = np.divide(a * a + b * b, total, out=np.zeros_like(total), where=total > 0)
    return np.where(left * right < 0, crossed, total) / 2
