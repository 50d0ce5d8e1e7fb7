"""The state of a model in one line, and each check under it. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from mlops_dagster.monitor.page.facts import Facts
from mlops_dagster.records import Check, Outcome
from mlops_dagster.stores.described import moment

ENOUGH = 260
NAMED = 3
MARKS = {Outcome.REFUSED: "!", Outcome.PASSED: "✓", Outcome.NOT_APPLICABLE: "·"}
WORDS = {
    Outcome.REFUSED: "over the limit",
    Outcome.PASSED: "within the limit",
    Outcome.NOT_APPLICABLE: "not judged",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Whether something is wrong, what, and about which version it is said."""

    kind: str
    mark: str
    said: str
    about: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One check as people read it."""

    kind: str
    mark: str
    name: str
    word: str
    because: str
    whole: str = ""


def state_of(facts: Facts) -> State:
    """Say in one line how the model is."""
    outcome, said = _verdict(facts)
    serving = "No version serves"
    if facts.champion:
        since = f" since {moment(facts.since)}" if facts.since else ""
        serving = f"Version {facts.champion} serves{since}"
    about = f"{serving}; as known at {moment(facts.at)}"
    return State(kind=outcome.value, mark=MARKS[outcome], said=said, about=about)


def lines_of(checks: Sequence[Check]) -> list[Line]:
    """List the checks, those over their limit first."""
    order = list(MARKS)
    ordered = sorted(checks, key=lambda check: order.index(check.outcome))
    return [
        Line(
            kind=check.outcome.value,
            mark=MARKS[check.outcome],
            name=_plain(check.name),
            word=WORDS[check.outcome],
            because=_begin(check.because),
            whole=check.because if _begin(check.because) != check.because else "",
        )
        for check in ordered
    ]


def _verdict(facts: Facts) -> tuple[Outcome, str]:
    over = [_plain(one.name) for one in facts.checks if one.outcome is Outcome.REFUSED]
    judged = [one for one in facts.checks if one.outcome is not Outcome.NOT_APPLICABLE]
    if over:
        more = f" and {len(over) - NAMED} more" if len(over) > NAMED else ""
        return Outcome.REFUSED, f"Over the limit: {', '.join(over[:NAMED])}{more}"
    if facts.champion is None:
        return Outcome.NOT_APPLICABLE, "No champion yet"
    if not judged:
        return Outcome.NOT_APPLICABLE, "Nothing could be judged yet"
    left = len(facts.checks) - len(judged)
    more = f" ({left} of {len(facts.checks)} checks could not be judged)" if left else ""
    return Outcome.PASSED, f"Within all limits{more}"


def _begin(text: str) -> str:
    """Take the first sentences of a long text."""
    if len(text) <= ENOUGH:
        return text
    whole = text[:ENOUGH].rpartition(". ")[0]
    return f"{whole}." if len(whole) > ENOUGH // 3 else f"{text[: ENOUGH - 1]}…"


def _plain(name: str) -> str:
    fresh = {"data_fresh": "age of the data", "model_fresh": "age of the model"}
    return fresh.get(name, name.replace("_", " "))
