"""Features as served against the same features made of the lake's rows: what differs, row by row. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

TOLERANCE = 1e-12
"""Numbers are equal within this share of their size, below 1 within this much."""

Flags = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Plain = bool | float | str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One answer whose feature differs. `apart` is the distance of two numbers, else None."""

    prediction_id: str
    key: Mapping[str, Plain]
    version: str
    served: Plain
    recomputed: Plain
    apart: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureSkew:
    """One feature over all answers. `redacted` answers hide what it is made of: they say nothing."""

    feature: str
    compared: int
    differing: int
    redacted: int = 0
    examples: tuple[Example, ...] = ()

    @property
    def share(self) -> float:
        """The share of the compared rows that differ."""
        return self.differing / self.compared if self.compared else 0.0

    @property
    def largest(self) -> float | None:
        """The largest distance of two numbers; None where no two numbers differ."""
        return max((one.apart for one in self.examples if one.apart is not None), default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Skew:
    """What one check saw: live answers, those that could be compared, and why the others could not.

    `first` and `last` say when the answers were given. `differing` counts answers, not features.
    """

    answers: int
    compared: int
    differing: int
    features: tuple[FeatureSkew, ...] = ()
    not_compared: Mapping[str, int] = field(default_factory=dict)
    first: datetime | None = None
    last: datetime | None = None

    @property
    def worst(self) -> tuple[FeatureSkew, ...]:
        """The features that differ anywhere, the largest share first."""
        found = [one for one in self.features if one.differing]
        return tuple(sorted(found, key=lambda one: -one.share))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """Answers of one version in one order: as served, made of the lake, and which answers they are.

    `hidden` is what is made of the lake when what was redacted is hidden there too.
    """

    version: str
    ids: Sequence[str]
    keys: Sequence[Mapping[str, Plain]]
    served: pd.DataFrame
    recomputed: pd.DataFrame
    hidden: pd.DataFrame | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """What was found of one version's answers, with every example; `anywhere`: which differ at all."""

    features: Sequence[FeatureSkew]
    anywhere: Flags


def compare(sides: Sides) -> Compared:
    """Compare feature by feature."""
    found: list[FeatureSkew] = []
    anywhere: Flags = np.zeros(len(sides.ids), dtype=np.bool_)
    for name in sides.recomputed.columns:
        served, recomputed = sides.served[name], sides.recomputed[name]
        unknown: Flags = np.zeros(len(sides.ids), dtype=np.bool_)
        if sides.hidden is not None:
            unknown, _ = differences(sides.hidden[name], recomputed)
        differ, apart = differences(served, recomputed)
        differ = differ & ~unknown
        anywhere |= differ
        found.append(
            FeatureSkew(
                feature=str(name),
                compared=int((~unknown).sum()),
                differing=int(differ.sum()),
                redacted=int(unknown.sum()),
                examples=_examples(sides, served, recomputed, differ, apart),
            )
        )
    return Compared(features=found, anywhere=anywhere)


def join_versions(
    parts: Sequence[Sequence[FeatureSkew]], *, examples: int
) -> tuple[FeatureSkew, ...]:
    """Add up what was found of each version; of all examples the farthest apart are kept."""
    found: dict[str, FeatureSkew] = {}
    for one in (one for part in parts for one in part):
        before = found.get(one.feature, FeatureSkew(feature=one.feature, compared=0, differing=0))
        found[one.feature] = FeatureSkew(
            feature=one.feature,
            compared=before.compared + one.compared,
            differing=before.differing + one.differing,
            redacted=before.redacted + one.redacted,
            examples=_farthest((*before.examples, *one.examples), examples),
        )
    return tuple(found.values())


def differences(served: "pd.Series[Any]", recomputed: "pd.Series[Any]") -> tuple[Flags, Floats]:
    """Tell which values differ, and how far numbers are apart (nan where they are none).

    Null equals null, and numbers are equal within `TOLERANCE`; everything else must be the same.
    """
    left, right = _numbers(served), _numbers(recomputed)
    if left is None or right is None:
        told = zip(_objects(served), _objects(recomputed), strict=True)
        differ = np.array([one != other for one, other in told], dtype=np.bool_)
        return differ, np.full(len(differ), np.nan)
    with np.errstate(invalid="ignore"):
        apart = np.abs(left - right)
        near = apart <= TOLERANCE * np.maximum(np.maximum(np.abs(left), np.abs(right)), 1.0)
    same = (left == right) | (np.isnan(left) & np.isnan(right))
    # An infinite bound is no bound.
    near &= np.isfinite(left) & np.isfinite(right)
    return ~(same | near), apart


def _numbers(column: "pd.Series[Any]") -> Floats | None:
    """Give numbers and truth values as doubles, null as nan; None when a value is neither."""
    kind = column.dtype
    if pd.api.types.is_numeric_dtype(kind) or pd.api.types.is_bool_dtype(kind):
        return np.asarray(column.to_numpy(dtype="float64", na_value=np.nan))
    values = _objects(column)
    if all(one is None or isinstance(one, int | float | np.number | np.bool_) for one in values):
        return np.array([np.nan if one is None else float(one) for one in values], np.float64)
    return None


def _objects(column: "pd.Series[Any]") -> list[Any]:
    values = column.astype(object)
    found: list[Any] = values.where(values.notna(), None).tolist()
    return found


def _examples(
    sides: Sides,
    served: "pd.Series[Any]",
    recomputed: "pd.Series[Any]",
    differ: Flags,
    apart: Floats,
) -> tuple[Example, ...]:
    places = np.flatnonzero(differ)
    ours, theirs = _objects(served.iloc[places]), _objects(recomputed.iloc[places])
    return tuple(
        Example(
            prediction_id=sides.ids[place],
            key=sides.keys[place],
            version=sides.version,
            served=plain(one),
            recomputed=plain(other),
            apart=float(apart[place]) if np.isfinite(apart[place]) else None,
        )
        for place, one, other in zip(places.tolist(), ours, theirs, strict=True)
    )


def _farthest(examples: Sequence[Example], count: int) -> tuple[Example, ...]:
    ordered = sorted(examples, key=lambda one: -1.0 if one.apart is None else one.apart)
    return tuple(reversed(ordered[-count:])) if count else ()


def plain(value: Any) -> Plain:
    """Write a value as JSON holds it; it knows no infinite numbers."""
    if isinstance(value, np.generic):
        value = value.item()
    known = value is None or isinstance(value, bool | int | float | str)
    return value if known and not (isinstance(value, float) and np.isinf(value)) else str(value)
