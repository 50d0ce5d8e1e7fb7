"""Yes or no to taking in new rows, from facts alone."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from mlops_dagster.declaration import ModelIdentity, write_duration
from mlops_dagster.records import Decision

_ERROR_TEXT = 400
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """What is known of a source when a decision is due.

    `state` changes when there is something new (None: the source cannot tell). `seen` is the state that
    a run took in last, or whose data was refused; `asked` the one that a run was asked for last.
    `newest` is the largest event time accepted. `overdue_asked_for` is what `overdue_mark` gave then.
    """

    now: datetime
    state: str | None
    seen: str | None
    asked: str | None
    newest: datetime | None
    max_age: timedelta | None
    last_update: datetime | None
    open_run: str | None
    overdue_asked_for: str | None


def decide_update(model: ModelIdentity, arrival: Arrival) -> Decision:
    """Decide whether to take in rows now, and say why in a sentence."""
    if arrival.state is not None and arrival.state != arrival.seen:
        if arrival.open_run:
            because = f"The source has changed; {arrival.open_run} is still open."
            return answer(model, arrival, "", "none", because)
        if arrival.state == arrival.asked:
            because = (
                "The source has changed; the runs that took it in failed, one more comes later."
            )
            return answer(model, arrival, "", "none", because)
        return answer(
            model, arrival, f"state:{arrival.state}", "new_data", "The source has changed."
        )
    if sentence := overdue_sentence(arrival):
        return decide_overdue(model, arrival, sentence)
    return answer(model, arrival, "", "none", quiet_sentence(arrival))


def decide_overdue(model: ModelIdentity, arrival: Arrival, sentence: str) -> Decision:
    """Decide on a run for data past its age: one for each `max_age` that passes without newer data."""
    # Without the hours: a sentence that changes by the minute would be kept each time.
    if arrival.open_run:
        because = f"The data is past its age; {arrival.open_run} is still open."
        return answer(model, arrival, "", "none", because)
    mark = overdue_mark(arrival)
    if arrival.overdue_asked_for == mark:
        because = "The data is past its age; a run was asked for already and brought nothing newer."
        return answer(model, arrival, "", "none", because)
    return answer(model, arrival, f"overdue:{mark}", "overdue_data", sentence)


def overdue_mark(arrival: Arrival) -> str:
    """Name the newest event, or else the last update, and how many times `max_age` it is old by now."""
    if not arrival.max_age:
        return "never"
    since = arrival.newest or arrival.last_update
    periods = (arrival.now - (since or _LONG_AGO)) // arrival.max_age
    return f"{since.isoformat() if since else 'never'}+{periods}"


def overdue_sentence(arrival: Arrival) -> str:
    """Say how old the newest event is, if it is past its age."""
    if arrival.newest is None:
        return unseen_sentence(arrival) if arrival.state is None else ""
    if arrival.max_age is None or arrival.now - arrival.newest <= arrival.max_age:
        return ""
    hours = (arrival.now - arrival.newest).total_seconds() / 3600
    return f"The newest event is {hours:.1f} h old (limit {write_duration(arrival.max_age)})."


def unseen_sentence(arrival: Arrival) -> str:
    """Say why a source that tells neither a state nor times is to be read again, if it is."""
    if arrival.last_update is None:
        return "No data was taken in yet."
    if arrival.max_age is None or arrival.now - arrival.last_update <= arrival.max_age:
        return ""
    hours = (arrival.now - arrival.last_update).total_seconds() / 3600
    limit = write_duration(arrival.max_age)
    return f"The source tells no times, and was read {hours:.1f} h ago (limit {limit})."


def quiet_sentence(arrival: Arrival) -> str:
    """Say that nothing is new, or what would have to be declared to know it."""
    if arrival.state is not None:
        return "Nothing new at the source."
    if arrival.max_age is None:
        return (
            "The source cannot tell whether it changed, and monitor.freshness.max_age is not declared: "
            "a schedule or a person starts its updates."
        )
    return "The source cannot tell whether it changed; its rows are within their age."


def answer(
    model: ModelIdentity, arrival: Arrival, mark: str, reason: str, because: str
) -> Decision:
    """Write the decision; the key is the same whenever the same facts are judged again."""
    return Decision(
        model=model.name,
        segment=model.segment,
        action="update" if mark else "none",
        reason=reason,
        because=because,
        at=arrival.now,
        run_key=f"update:{model.address}:{mark}" if mark else "",
    )


def source_failed(model: ModelIdentity, error: Exception, *, at: datetime) -> Decision:
    """Decide against an update, since the source did not say whether there is anything new."""
    told = f"{type(error).__name__}: {error}"[:_ERROR_TEXT]
    return Decision(
        model=model.name,
        segment=model.segment,
        action="none",
        reason="none",
        because=f"The source could not say whether it changed: {told}",
        at=at,
    )
