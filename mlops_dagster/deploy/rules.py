"""Whether a version may serve now, from facts alone."""

from dataclasses import dataclass
from typing import Literal

from mlops_dagster.records import Check, Outcome

UNCHANGED = "champion_unchanged"
LOADS = "version_loads"
PARITY = "parity"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """What is to be done with a version: `move` the alias, `keep` it, `wait`, try it, or `refuse`."""

    action: Literal["move", "keep", "wait", "canary", "refuse"]
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Who serves, whom the candidate was judged against, and what a person said of it."""

    candidate: str
    champion: str | None
    judged_against: str | None
    promotion: Literal["automatic", "manual"]
    approval: str
    approved_by: str = ""
    approved_why: str = ""
    barred: str = ""
    held: str = ""
    unknown: str = ""
    in_steps: bool = False
    canary_passed: str = ""


def rule(standing: Standing) -> Ruling:
    """Decide what becomes of a candidate that passed its gates.

    Where it is to go live in steps, it serves only after its canary passed.
    """
    ruling = _rule(standing)
    if ruling.action != "move" or not standing.in_steps or standing.champion is None:
        return ruling
    if not standing.canary_passed:
        return Ruling(action="canary", because=ruling.because)
    return Ruling(
        action="move", because=f"{ruling.because} Its canary passed: {standing.canary_passed}"
    )


def _rule(standing: Standing) -> Ruling:
    if standing.champion == standing.candidate:
        return Ruling(action="keep", because=f"Version {standing.candidate} serves already.")
    if standing.barred:
        why = f"Version {standing.candidate} was rolled back and is barred: {standing.barred}"
        return Ruling(action="wait", because=why)
    if standing.champion != standing.judged_against:
        return Ruling(
            action="refuse",
            because=(
                f"Version {standing.candidate} was judged against {_named(standing.judged_against)}, "
                f"but {_named(standing.champion)} serves now. Evaluate it again."
            ),
        )
    if by_hand(standing) and standing.approval == "approved":
        why = f"Approved by {standing.approved_by or 'unknown'}: {standing.approved_why or 'no reason given'}"
        return Ruling(action="move", because=why)
    if by_hand(standing):
        why = f"Version {standing.candidate} waits for an approval."
        return Ruling(action="wait", because=f"{standing.held} {why}".strip())
    passed = f"Version {standing.candidate} passed every gate against {_named(standing.champion)}."
    return Ruling(action="move", because=f"{passed} {standing.unknown}".strip())


def by_hand(standing: Standing) -> bool:
    """Tell whether a person has to let the version serve."""
    return standing.promotion == "manual" or bool(standing.held)


def unchanged_check(ruling: Ruling) -> Check:
    """Show whether the champion is still the one that the candidate was judged against."""
    refused = ruling.action == "refuse"
    return Check(
        name=UNCHANGED,
        outcome=Outcome.REFUSED if refused else Outcome.PASSED,
        because=ruling.because,
    )


def _named(version: str | None) -> str:
    return f"version {version}" if version else "no champion"
