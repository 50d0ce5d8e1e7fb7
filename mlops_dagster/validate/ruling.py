"""What becomes of a batch and of each of its rows. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mlops_dagster.records import JSON, Check, Outcome, Severity, Shown
from mlops_dagster.stores.described import grouped
from mlops_dagster.validate.suite import Verdict, needed


@dataclass(frozen=True, slots=True, kw_only=True)
class Complaint:
    """Why one row is kept out, and by which expectation; not `by_row`: with its batch alone."""

    expectation: str
    reason: str
    by_row: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """The verdicts on one batch, whether it is accepted, and the rows that are kept out of it."""

    batch: int
    rows: int
    accepted: bool
    because: str
    verdicts: Sequence[Verdict] = ()
    kept_out: Mapping[int, Complaint] = field(default_factory=dict)

    @property
    def accepted_rows(self) -> int:
        """Count the rows that go on."""
        return self.rows - len(self.kept_out) if self.accepted else 0


def rule(batch: int, rows: int, verdicts: Sequence[Verdict]) -> Ruling:
    """Refuse the batch when a critical expectation is broken; else keep out the rows that broke one."""
    broken = [one for one in verdicts if one.critical and not one.holds]
    complaints = _by_row([one for one in verdicts if one.critical])
    if not broken:
        out = (
            f", {grouped(len(complaints))} rows to quarantine: {_told(verdicts)}"
            if complaints
            else "."
        )
        return Ruling(
            batch=batch,
            rows=rows,
            accepted=True,
            because=f"Batch {batch}: {grouped(rows - len(complaints))} rows accepted{out}{_warned(verdicts)}",
            verdicts=verdicts,
            kept_out=complaints,
        )
    named = ", ".join(one.name for one in broken)
    whole = Complaint(expectation=named, reason=f"The batch was refused by {named}.", by_row=False)
    return Ruling(
        batch=batch,
        rows=rows,
        accepted=False,
        because=(
            f"Batch {batch} ({grouped(rows)} rows) was refused by {named}: {broken[0].because} All its rows are "
            "in quarantine. Mend the source, or export the rows, mend them and replay them "
            "(mlops-dagster quarantine)."
        ),
        verdicts=verdicts,
        kept_out={position: _joined(complaints.get(position), whole) for position in range(rows)},
    )


def _warned(verdicts: Sequence[Verdict]) -> str:
    broken = [
        one.name
        for one in verdicts
        if not one.holds and one.expectation.severity is Severity.WARNING
    ]
    return f" Warned of: {', '.join(broken)}." if broken else ""


def _told(verdicts: Sequence[Verdict]) -> str:
    return " ".join(one.because for one in verdicts if one.critical and one.rows)


def checks(rulings: Sequence[Ruling]) -> tuple[Check, ...]:
    """Make one check of each expectation's verdicts on all batches.

    A critical one that refused a batch is only a warning when another batch was accepted: what comes
    after may go on with that one.
    """
    some_accepted = any(one.accepted for one in rulings)
    by_name: dict[str, list[tuple[Ruling, Verdict]]] = {}
    for ruling in rulings:
        for verdict in ruling.verdicts:
            by_name.setdefault(verdict.name, []).append((ruling, verdict))
    return tuple(_check(name, told, go_on=some_accepted) for name, told in by_name.items())


def _check(name: str, told: Sequence[tuple[Ruling, Verdict]], *, go_on: bool) -> Check:
    broken = [(ruling, verdict) for ruling, verdict in told if not verdict.holds]
    ruling, verdict = (broken or told)[-1]
    severity = verdict.expectation.severity
    if broken and go_on and severity is Severity.CRITICAL:
        severity = Severity.WARNING
    return Check(
        name=name,
        outcome=Outcome.REFUSED if broken else Outcome.PASSED,
        because=" ".join(
            f"Batch {at.batch}: {one.because}{_consequence(one)}"
            for at, one in (broken or told)[-3:]
        ),
        severity=severity,
        shown=_shown(ruling, verdict),
    )


def _consequence(verdict: Verdict) -> str:
    if not verdict.critical:
        return "" if verdict.holds else " It only warns."
    if not verdict.holds:
        return " The batch is refused."
    return " These rows go to quarantine." if verdict.rows else ""


def _shown(ruling: Ruling, verdict: Verdict) -> dict[str, Shown]:
    shown = {
        "expectation": Shown(kind="text", value=needed(verdict.expectation)),
        "batch": Shown(kind="integer", value=ruling.batch),
        "batch_rows": Shown(kind="integer", value=ruling.rows),
        "observed_value": _observed(verdict.observed),
    }
    if verdict.unexpected_percent is not None:
        shown["unexpected_percent"] = Shown(kind="number", value=verdict.unexpected_percent)
    if verdict.sample:
        shown["unexpected_sample"] = Shown(kind="json", value=list(verdict.sample))
    return shown


def _observed(value: JSON) -> Shown:
    match value:
        case bool() | str() | None:
            return Shown(kind="text", value=str(value))
        case int():
            return Shown(kind="integer", value=value)
        case float():
            return Shown(kind="number", value=value)
        case _:
            return Shown(kind="json", value=value)


def _by_row(verdicts: Sequence[Verdict]) -> dict[int, Complaint]:
    found: dict[int, Complaint] = {}
    for verdict in verdicts:
        own = Complaint(
            expectation=verdict.name, reason=f"Does not meet {needed(verdict.expectation)}."
        )
        for position in verdict.rows:
            found[position] = _joined(found.get(position), own)
    return found


def _joined(first: Complaint | None, second: Complaint) -> Complaint:
    if first is None:
        return second
    names = dict.fromkeys((*first.expectation.split(", "), *second.expectation.split(", ")))
    return Complaint(
        expectation=", ".join(names),
        reason=f"{first.reason} {second.reason}",
        by_row=first.by_row or second.by_row,
    )
