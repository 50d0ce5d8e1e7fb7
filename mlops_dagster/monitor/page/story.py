"""What was decided and moved, newest first, as a table. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from mlops_dagster.monitor.page.facts import Facts
from mlops_dagster.records import Decision, Move
from mlops_dagster.stores.described import moment

MOST_EVENTS = 30
_WHY = 240
ROUTINE = frozenset({"none", "update"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One decision or move. `kind` says which."""

    kind: str
    at: str
    what: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """The events, how many older ones were left out, and the newest no."""

    events: Sequence[Event]
    left: int
    no: Event | None


def story(facts: Facts) -> Story:
    """List what changed the model; of the noes, only the newest is told."""
    decided = [one for one in facts.decisions if one.action not in ROUTINE]
    # Of the same instant: first a decision, then the move that it led to, in the ledger's order.
    dated = [(one.at, -place - 1, _decided(one)) for place, one in enumerate(decided)]
    dated += [(one.at, one.id, _moved(one)) for one in facts.moves]
    events = [event for *_, event in sorted(dated, key=lambda one: one[:2], reverse=True)]
    noes = [one for one in facts.decisions if one.action == "none"]
    return Story(
        events=events[:MOST_EVENTS],
        left=len(events[MOST_EVENTS:]),
        no=_decided(noes[0]) if noes else None,
    )


def _decided(one: Decision) -> Event:
    what = "no" if one.action == "none" else f"{one.action} ({one.reason})"
    return Event(kind="decided", at=moment(one.at), what=what, why=_short(one.because))


def _moved(one: Move) -> Event:
    before = f"version {one.from_version} → " if one.from_version else ""
    after = f"version {one.to_version}" if one.to_version else "none"
    what = f"{one.kind}: {before}{after}"
    return Event(
        kind="moved",
        at=moment(one.at),
        what=what,
        why=_short(f"{one.why.rstrip('.')}. By {one.who}."),
    )


def _short(text: str) -> str:
    return text if len(text) <= _WHY else text[: _WHY - 1] + "…"
