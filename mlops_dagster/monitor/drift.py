"""Whether the columns of a window drifted from the reference. Pure: profiles in, verdicts out.

Numbers are judged by how far rows moved (Wasserstein distance in standard deviations of the
reference), labels by the Jensen-Shannon distance, and the share of nulls of each as a label with two
values. The limit is the larger of what chance alone gives at this row count, and of what windows of
the reference differ from each other, when there are enough of them.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from mlops_dagster.metrics import drift as distances
from mlops_dagster.metrics.drift import Floats
from mlops_dagster.metrics.limits import (
    FEWEST_WINDOWS,
    Calibration,
    calibrate,
    limit_over_time,
    per_test,
)
from mlops_dagster.monitor.pairs import Counts, Pair, pair_of_nulls, pair_of_values
from mlops_dagster.monitor.spec import DriftSpec
from mlops_dagster.profiles.columns import (
    CategoryProfile,
    ColumnProfile,
    TableProfile,
    subtract,
)
from mlops_dagster.records import Outcome

MINOR_JS = 0.05
MAJOR_PSI = 0.2
NULLS = ": null share"


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnVerdict:
    """What was found of one column in one window. `value` and `limit` are of `measure`.

    `psi`, `js`, `ks`, `chi2_p` stand beside it for readers who know them; of numbers they are taken
    over at most 20 bins of equal share, so that they do not grow with the number of bins.
    """

    column: str
    measure: Literal["w1_sd", "js", "none"]
    outcome: Outcome
    because: str
    rows: int
    reference_rows: int
    value: float | None = None
    limit: float | None = None
    severity: Literal["", "minor", "moderate", "major"] = ""
    psi: float | None = None
    js: float | None = None
    ks: float | None = None
    chi2_p: float | None = None
    new_labels: tuple[str, ...] = ()

    @property
    def excess(self) -> float:
        """How many times the limit the value is; 0 when it was not judged."""
        return 0.0 if self.value is None else self.value / max(self.limit or 0.0, 1e-12)


class ChanceLimits:
    """What chance alone gives, drawn once per column and doubling of the row count, then scaled."""

    def __init__(self) -> None:
        self._known: dict[tuple[Counts, float, int], Calibration] = {}

    def limit(self, pair: Pair, *, quantile: float) -> float:
        """Tell the distance that a window of the pair's rows stays under when nothing drifted."""
        near = 1 << (pair.rows.bit_length() - 1)
        key = (pair.reference, float(sum(pair.bounds)), near)
        if key not in self._known:
            self._known[key] = calibrate(pair.reference, near, distance=_measured(pair))
        return self._known[key].limit(pair.rows, quantile=quantile)


def judge_drift(
    reference: TableProfile,
    current: TableProfile,
    *,
    spec: DriftSpec,
    limits: ChanceLimits | None = None,
) -> list[ColumnVerdict]:
    """Judge each column of a window against the reference, at the declared rate of false alarms.

    The rate is of all tests of the window together. A verdict that is not applicable is no pass.
    """
    names = [name for name in reference.columns if _is_compared(name, spec)]
    plain: list[ColumnVerdict] = []
    pairs: list[Pair] = []
    for name in names:
        reason = _reason_not_to(reference, current, name, spec=spec)
        if reason:
            plain.append(_not_applicable(name, reference, current, reason))
        pairs += _pairs(reference, current, name, spec=spec, values=not reason)
    quantile = per_test(spec.false_alarms, tests=len(pairs))
    chance = limits or ChanceLimits()
    past = _leave_one_out(reference, spec)
    judged = [
        _judge(
            pair,
            chance=chance.limit(pair, quantile=quantile),
            time=limit_over_time(_past_distances(pair, past), quantile=quantile),
            windows=len(past),
        )
        for pair in pairs
    ]
    return sorted(judged + plain, key=lambda verdict: -verdict.excess)


def _is_compared(name: str, spec: DriftSpec) -> bool:
    return (not spec.columns or name in spec.columns) and name not in spec.exclude


def _reason_not_to(
    reference: TableProfile, current: TableProfile, name: str, *, spec: DriftSpec
) -> str:
    """Say why the values of a column cannot be compared; empty when they can."""
    before, now = reference.columns[name], current.columns.get(name)
    if now is None:
        return "the column is not in this window's rows"
    if isinstance(before, CategoryProfile) and not before.comparable:
        return "it is text or nested, nearly every value is there once; only nulls are compared"
    if not before.rows:
        return "the reference has no value in it"
    if current.rows < spec.minimum_rows:
        return f"the window has {current.rows} rows, fewer than the {spec.minimum_rows} needed"
    if now.rows < spec.minimum_rows:
        return (
            f"only {now.rows} of {current.rows} rows have a value, fewer than the "
            f"{spec.minimum_rows} needed"
        )
    return ""


def _not_applicable(
    name: str, reference: TableProfile, current: TableProfile, reason: str
) -> ColumnVerdict:
    now = current.columns.get(name)
    return ColumnVerdict(
        column=name,
        measure="none",
        outcome=Outcome.NOT_APPLICABLE,
        because=f"{name}: not applicable, {reason}.",
        rows=now.rows if now else 0,
        reference_rows=reference.columns[name].rows,
    )


def _pairs(
    reference: TableProfile, current: TableProfile, name: str, *, spec: DriftSpec, values: bool
) -> Iterator[Pair]:
    before, now = reference.columns[name], current.columns.get(name)
    if now is None or current.rows < spec.minimum_rows:
        return
    if values:
        yield pair_of_values(name, before, now)
    if (before.nulls or now.nulls) and reference.rows:
        yield pair_of_nulls(name + NULLS, before, now)


def _measured(
    pair: Pair,
) -> Callable[[npt.NDArray[np.int64], npt.NDArray[np.int64]], Floats]:
    """The distance that a pair is judged by."""
    if pair.measure == "js":
        return distances.jensen_shannon

    def moved(reference: npt.ArrayLike, current: npt.ArrayLike) -> Floats:
        found = distances.wasserstein(reference, current, bounds=pair.bounds, steps=pair.steps)
        return np.asarray(found / pair.spread)

    return moved


def _leave_one_out(
    reference: TableProfile, spec: DriftSpec
) -> list[tuple[TableProfile, TableProfile]]:
    """Each window of the reference with the rest of it, for windows with enough rows."""
    enough = [window for window in reference.windows if window.rows >= spec.minimum_rows]
    if len(enough) < FEWEST_WINDOWS:
        return []
    return [(subtract(reference, window), window) for window in enough]


def _past_distances(pair: Pair, past: Sequence[tuple[TableProfile, TableProfile]]) -> list[float]:
    name = pair.name.removesuffix(NULLS)
    found: list[float] = []
    for rest, window in past:
        before, now = rest.columns[name], window.columns[name]
        one = _same_kind(pair, before, now)
        if one is not None:
            found.append(float(_measured(pair)(np.asarray(one.reference), np.asarray(one.current))))
    return found


def _same_kind(pair: Pair, before: ColumnProfile, now: ColumnProfile) -> Pair | None:
    if pair.name.endswith(NULLS):
        return pair_of_nulls(pair.name, before, now)
    if not before.rows or not now.rows:
        return None
    return pair_of_values(pair.name, before, now)


def _judge(pair: Pair, *, chance: float, time: float | None, windows: int) -> ColumnVerdict:
    value = float(_measured(pair)(np.asarray(pair.reference), np.asarray(pair.current)))
    limit = max(chance, time or 0.0)
    alarm = value > limit
    effects = _effects(pair)
    severity = _severity(effects) if alarm else ""
    return ColumnVerdict(
        column=pair.name,
        measure=pair.measure,
        outcome=Outcome.REFUSED if alarm else Outcome.PASSED,
        because=_sentence(pair, (value, limit), severity=severity, time=time, windows=windows),
        rows=pair.rows,
        reference_rows=sum(pair.reference),
        value=value,
        limit=limit,
        severity=severity,
        new_labels=pair.new_labels,
        **effects,
    )


def _effects(pair: Pair) -> dict[str, float]:
    coarse = pair.coarse()
    return {
        "psi": float(distances.psi(*coarse)),
        "js": float(distances.jensen_shannon(*coarse)),
        "ks": float(distances.ks(pair.reference, pair.current)),
        "chi2_p": distances.chi2(*coarse)[1],
    }


def _severity(effects: Mapping[str, float]) -> Literal["minor", "moderate", "major"]:
    if effects["psi"] >= MAJOR_PSI:
        return "major"
    return "minor" if effects["js"] < MINOR_JS else "moderate"


def _sentence(
    pair: Pair,
    found: tuple[float, float],
    *,
    severity: str,
    time: float | None,
    windows: int,
) -> str:
    value, limit = found
    unit = " sd" if pair.measure == "w1_sd" else ""
    name = "W1" if pair.measure == "w1_sd" else "JS"
    told = f"{pair.name}: {name} {value:.4f}{unit}, limit {limit:.4f}{unit}, n={pair.rows}"
    told += f" against {sum(pair.reference)}"
    told += f"; {severity} drift" if severity else ""
    if pair.new_labels:
        told += f"; new: {', '.join(pair.new_labels[:5])}"
        told += f" and {len(pair.new_labels) - 5} more" if len(pair.new_labels) > 5 else ""
    if time is None:
        told += (
            f"; the limit is of chance alone, since the reference has fewer than {FEWEST_WINDOWS} "
            "windows to tell how they differ anyway"
            if windows < FEWEST_WINDOWS
            else "; the limit is of chance alone"
        )
    return told + "."
