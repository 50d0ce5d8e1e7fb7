"""Whether a candidate passes a gate, from numbers alone, with the sentence that says why."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import assert_never

from mlops_dagster.evaluate.spec import BeatsChampion, BeatsDummy, BeatsSimple, Gate, Threshold
from mlops_dagster.metrics.quality import greater_is_better
from mlops_dagster.records import Check, Outcome

SHOWN_VALUES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceScore:
    """The metrics of one value of one slice."""

    column: str
    value: str
    rows: int
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """The candidate's metrics and those of what it is held against, on the same rows.

    `champion` is None when none serves; `champion_problem` says why one that serves has no scores,
    `champion_gone` that its files are gone, so that nothing which could be loaded serves,
    `champion_notes` what else is to know of them, in sentences. `slices` has of each column every value
    that a gate judges, the largest first.
    """

    candidate: Mapping[str, float]
    dummy: Mapping[str, float]
    simple: Mapping[str, float]
    champion: Mapping[str, float] | None = None
    champion_version: str | None = None
    champion_problem: str = ""
    champion_gone: bool = False
    champion_notes: Sequence[str] = ()
    slices: Sequence[SliceScore] = field(default_factory=tuple)

    @property
    def largest_slices(self) -> list[SliceScore]:
        """The values that people are shown: the 20 largest of each column."""
        shown: dict[str, list[SliceScore]] = {}
        for one in self.slices:
            shown.setdefault(one.column, []).append(one)
        return [one for values in shown.values() for one in values[:SHOWN_VALUES]]


def check_names(gates: Sequence[Gate]) -> list[str]:
    """Name the gates' checks, each once: `threshold_roc_auc_by_carrier`, `beats_dummy_log_loss`."""
    names: list[str] = []
    for gate in gates:
        by = f"_by_{gate.slice}" if isinstance(gate, Threshold) and gate.slice else ""
        name = f"{gate.kind}_{gate.metric}{by}"
        twins = sum(one == name or one.startswith(f"{name}_n") for one in names)
        names.append(f"{name}_n{twins + 1}" if twins else name)
    return names


def judge(gate: Gate, scores: Scores, *, name: str) -> Check:
    """Judge one gate."""
    match gate:
        case Threshold(slice=None):
            outcome, because = judge_limit(gate, scores.candidate.get(gate.metric, math.nan))
        case Threshold():
            outcome, because = judge_slices(gate, scores)
        case BeatsDummy():
            outcome, because = judge_rival(gate.metric, gate.margin, scores, rival="dummy")
        case BeatsSimple():
            outcome, because = judge_rival(gate.metric, gate.margin, scores, rival="simple")
        case BeatsChampion():
            outcome, because = judge_champion(gate, scores)
        case _:
            assert_never(gate)
    return Check(name=name, outcome=outcome, because=because)


def conclude(gates: Sequence[Gate], checks: Sequence[Check], scores: Scores) -> tuple[Outcome, str]:
    """Say whether a candidate is accepted: no gate refuses it and at least one passes it.

    A gate that could not be judged is no pass. Where all of them wait for a champion, the first or one in
    place of lost files, the dummy stands in for it. Without any gate, which has to be declared, everything is accepted.
    """
    if refused := [one.because for one in checks if one.outcome is Outcome.REFUSED]:
        return Outcome.REFUSED, " ".join(refused)
    if not gates:
        return Outcome.PASSED, "No gates are declared: it was accepted without being judged."
    passed = sum(one.outcome is Outcome.PASSED for one in checks)
    left = [one for one in checks if one.outcome is Outcome.NOT_APPLICABLE]
    open_ones = " ".join(f"Not judged: {one.name}: {one.because}" for one in left)
    if passed:
        told = f"All {passed} judged gates passed. {open_ones}"
        return Outcome.PASSED, told.strip()
    first = [gate.metric for gate in gates if isinstance(gate, BeatsChampion)]
    if not first or (scores.champion_version is not None and not scores.champion_gone):
        return Outcome.NOT_APPLICABLE, f"No gate could be judged, so none passed. {open_ones}"
    judged = [judge_rival(metric, 0.0, scores, rival="dummy") for metric in dict.fromkeys(first)]
    told = " ".join(because for _, because in judged)
    fails = any(outcome is Outcome.REFUSED for outcome, _ in judged)
    outcome = Outcome.REFUSED if fails else Outcome.PASSED
    lack = "No champion that can be loaded" if scores.champion_gone else "No champion yet"
    return outcome, f"{lack}, so the dummy stood in: {told} {open_ones}".strip()


def judge_limit(gate: Threshold, value: float) -> tuple[Outcome, str]:
    """Hold one value against the limit."""
    need = gate.at_least if gate.at_least is not None else gate.at_most or 0.0
    word = "at least" if gate.at_least is not None else "at most"
    if math.isnan(value):
        return Outcome.REFUSED, f"{gate.metric} could not be computed; {word} {need:.4f} is needed."
    short = need - value if gate.at_least is not None else value - need
    if short > 0:
        lack = "short" if gate.at_least is not None else "over"
        return Outcome.REFUSED, (
            f"{gate.metric} {value:.4f}: {word} {need:.4f} needed, {lack} by {amount(short)}."
        )
    return (
        Outcome.PASSED,
        f"{gate.metric} {value:.4f}: {word} {need:.4f} needed, {amount(-short)} to spare.",
    )


def judge_slices(gate: Threshold, scores: Scores) -> tuple[Outcome, str]:
    """Hold each value of a slice against the limit; values with too few rows are not judged."""
    of_slice = [one for one in scores.slices if one.column == gate.slice]
    judged = [
        one
        for one in of_slice
        if one.rows >= gate.minimum_rows and not math.isnan(one.metrics.get(gate.metric, math.nan))
    ]
    if not judged:
        return Outcome.NOT_APPLICABLE, (
            f"No value of {gate.slice} has {gate.minimum_rows:,} rows on which {gate.metric} can be computed."
        )
    told = [
        (
            *judge_limit(gate, one.metrics[gate.metric]),
            f"{one.column}={one.value} (n = {one.rows:,})",
        )
        for one in judged
    ]
    failed = [
        f"{where}: {because}" for outcome, because, where in told if outcome is Outcome.REFUSED
    ]
    if failed:
        return Outcome.REFUSED, " ".join(failed)
    sign = 1 if gate.at_least is not None else -1
    worst = min(judged, key=lambda one: sign * one.metrics[gate.metric])
    large = [one for one in of_slice if one.rows >= gate.minimum_rows]
    unknown = [one.value for one in large if one not in judged]
    listed = f" {gate.metric} cannot be computed for: {', '.join(unknown[:5])}" if unknown else ""
    more = f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
    return Outcome.PASSED, (
        f"All {len(judged)} of {len(of_slice)} values of {gate.slice} with enough rows pass; worst: "
        f"{worst.value} with {worst.metrics[gate.metric]:.4f} (n = {worst.rows:,})."
        f"{listed}{more}{'.' if unknown else ''}"
    )


def judge_rival(metric: str, margin: float, scores: Scores, *, rival: str) -> tuple[Outcome, str]:
    """Hold the candidate against a baseline: it must be better by more than nothing."""
    named = {"dummy": "the dummy's", "simple": "the linear model's"}[rival]
    value = scores.candidate.get(metric, math.nan)
    other = (scores.dummy if rival == "dummy" else scores.simple).get(metric, math.nan)
    if math.isnan(value) or math.isnan(other):
        return (
            Outcome.REFUSED,
            f"{metric} could not be computed for the candidate or for {named} part.",
        )
    ahead = lead(metric, value, other)
    told = f"{metric} {value:.4f} against {named} {other:.4f}"
    if ahead > 0 and ahead >= margin:
        return Outcome.PASSED, f"{told}: better by {amount(ahead)}, needed {margin:.4f}."
    return Outcome.REFUSED, f"{told}: {ahead_word(ahead)}, must be better by {margin:.4f}."


def judge_champion(gate: BeatsChampion, scores: Scores) -> tuple[Outcome, str]:
    """Hold the candidate against what serves, on the same rows."""
    if scores.champion_problem:
        return Outcome.REFUSED, scores.champion_problem
    if scores.champion_gone:
        return Outcome.NOT_APPLICABLE, (
            f"The files of the champion (version {scores.champion_version}) are gone, so what still serves "
            "it cannot be started again, and there is nothing to compare with."
        )
    if scores.champion is None:
        return Outcome.NOT_APPLICABLE, "No champion yet: there is nothing to compare with."
    value = scores.candidate.get(gate.metric, math.nan)
    other = scores.champion.get(gate.metric, math.nan)
    if math.isnan(value) or math.isnan(other):
        lack = f"{gate.metric} could not be computed for the candidate or the champion."
        return Outcome.REFUSED, " ".join([lack, *scores.champion_notes])
    ahead = lead(gate.metric, value, other)
    told = (
        f"{gate.metric} {value:.4f} against the champion's {other:.4f} "
        f"(version {scores.champion_version}): {ahead_word(ahead)}, allowed {gate.tolerance:.4f}."
    )
    told = " ".join([told, *scores.champion_notes])
    return (Outcome.PASSED if ahead >= -gate.tolerance else Outcome.REFUSED), told


def lead(metric: str, value: float, other: float) -> float:
    """Measure how far a value is ahead; negative when it is behind."""
    return value - other if greater_is_better(metric) else other - value


def ahead_word(ahead: float) -> str:
    """Say a lead in words."""
    if ahead == 0:
        return "equal"
    return f"{'better' if ahead > 0 else 'worse'} by {amount(abs(ahead))}"


def amount(difference: float) -> str:
    """Write a difference that is not negative; a very small one never as nothing."""
    small = 0 < difference < 0.00005
    return f"{difference:.1g}" if small else f"{abs(difference):.4f}"
