"""Whether the columns of a window drifted from the reference. Pure: profiles in, verdicts out.

Numbers are judged by how far rows moved (Wasserstein distance in standard deviations of the
reference), labels by the Jensen-Shannon distance, and the share of nulls of each as a label with two
values. The limit is the larger of what chance alone gives at this row count, and of what windows of
the reference differ from each other, when there are enough of them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from mlops_dagster.metrics import drift as distances
from mlops_dagster.metrics.limits import FEWEST_WINDOWS, per_test
from mlops_dagster.monitor.limits import NULLS, Limits
from mlops_dagster.monitor.pairs import Pair, pair_of_nulls, pair_of_values
from mlops_dagster.monitor.spec import DriftSpec
from mlops_dagster.profiles.columns import CategoryProfile, TableProfile
from mlops_dagster.profiles.derived import LENGTH, base_of, tells_nulls
from mlops_dagster.records import Outcome

MINOR_JS = 0.05
MAJOR_PSI = 0.2
EVERYTHING = "all columns"
CHANCE_ONLY = (
    f"The limit is of chance alone: the reference has fewer than {FEWEST_WINDOWS} windows to tell how "
    "windows differ anyway."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnVerdict:
    """What was found of one column in one window. `value` and `limit` are of `measure`.

    `psi`, `js`, `ks`, `chi2_p` stand beside it for readers who know them; of numbers they are taken
    over at most 20 bins of equal share, so that they do not grow with the number of bins.
    """

    column: str
    measure: Literal["w1_sd", "js", "none"]
    outcome: Outcome
    told: str
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
    note: str = ""

    @property
    def because(self) -> str:
        """The whole sentence: what was found, and what the limit could not know."""
        return f"{self.told} {self.note}".strip()

    @property
    def of_nulls(self) -> bool:
        """Tell whether it is about the share of nulls, not about values."""
        return self.column.endswith(NULLS)

    @property
    def excess(self) -> float:
        """How many times the limit the value is; 0 when it was not judged."""
        return 0.0 if self.value is None else self.value / max(self.limit or 0.0, 1e-12)


def judge_drift(
    reference: TableProfile,
    current: TableProfile,
    *,
    spec: DriftSpec,
    limits: Limits | None = None,
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
    known = limits or Limits(reference, spec)
    judged = [_judge(pair, known, quantile=quantile) for pair in pairs]
    return sorted(judged + plain, key=lambda verdict: -verdict.excess)


def judge_window(
    reference: TableProfile, current: TableProfile, *, spec: DriftSpec, limits: Limits
) -> tuple[ColumnVerdict, ...]:
    """Judge each column of a window; one with too few rows is said to be, once for all columns."""
    if current.rows < spec.minimum_rows:
        return (too_few_rows(reference, current, spec=spec),)
    return tuple(judge_drift(reference, current, spec=spec, limits=limits))


def too_few_rows(
    reference: TableProfile, current: TableProfile, *, spec: DriftSpec
) -> ColumnVerdict:
    """Say once for all columns that a window has too few rows to be judged."""
    return ColumnVerdict(
        column=EVERYTHING,
        measure="none",
        outcome=Outcome.NOT_APPLICABLE,
        told=f"{EVERYTHING}: not applicable, {_too_few(current, spec)}.",
        rows=current.rows,
        reference_rows=reference.rows,
    )


def _too_few(current: TableProfile, spec: DriftSpec) -> str:
    return f"the window has {current.rows:,} rows, fewer than the {spec.minimum_rows:,} needed"


def _is_compared(name: str, spec: DriftSpec) -> bool:
    own = base_of(name)
    return (not spec.columns or own in spec.columns) and own not in spec.exclude


def _reason_not_to(
    reference: TableProfile, current: TableProfile, name: str, *, spec: DriftSpec
) -> str:
    """Say why the values of a column cannot be compared; empty when they can."""
    before, now = reference.columns[name], current.columns.get(name)
    if now is None:
        return "the column is not in this window's rows"
    if isinstance(before, CategoryProfile) and not before.comparable:
        other = "length and words" if name + LENGTH in reference.columns else "nulls"
        return f"it is text or nested, nearly every value is there once; only {other} are compared"
    if not before.rows:
        return "the reference has no value in it"
    if current.rows < spec.minimum_rows:
        return _too_few(current, spec)
    if now.rows < spec.minimum_rows:
        return (
            f"only {now.rows:,} of {current.rows:,} rows have a value, fewer than the "
            f"{spec.minimum_rows:,} needed"
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
        told=f"{name}: not applicable, {reason}.",
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
    if (before.nulls or now.nulls) and reference.rows and tells_nulls(name):
        yield pair_of_nulls(name + NULLS, before, now)


def _judge(pair: Pair, limits: Limits, *, quantile: float) -> ColumnVerdict:
    value = float(pair.distance(pair.reference, pair.current))
    time = limits.over_time(pair, quantile=quantile)
    limit = max(limits.chance(pair, quantile=quantile), time or 0.0)
    alarm = value > limit * (1 + 1e-9)  # an equal one must not alarm by rounding
    effects = _effects(pair)
    severity = _severity(effects) if alarm else ""
    return ColumnVerdict(
        column=pair.name,
        measure=pair.measure,
        outcome=Outcome.REFUSED if alarm else Outcome.PASSED,
        told=_sentence(pair, (value, limit), severity=severity),
        note=CHANCE_ONLY if time is None else "",
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


def _sentence(pair: Pair, found: tuple[float, float], *, severity: str) -> str:
    unit, name = (" sd", "W1") if pair.measure == "w1_sd" else ("", "JS")
    told = f"{pair.name}: {name} {found[0]:.4f}{unit}, limit {found[1]:.4f}{unit}"
    told += f", n={pair.rows:,} against {sum(pair.reference):,}"
    told += f"; {severity} drift" if severity else ""
    told += _named(pair.new_labels)
    return told + "."


def _named(labels: tuple[str, ...]) -> str:
    if not labels:
        return ""
    rest = f" and {len(labels) - 5} more" if len(labels) > 5 else ""
    return f"; new: {', '.join(labels[:5])}{rest}"
