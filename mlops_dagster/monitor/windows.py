"""Which stretches of time, or batches, are to be judged. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

# A Monday, so that windows of whole weeks run from Monday to Sunday.
ANCHOR = datetime(1970, 1, 5, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Rows with `start <= event time < end`, or where there is no event time, one batch."""

    start: datetime | None = None
    end: datetime | None = None
    batch: int | None = None

    @property
    def label(self) -> str:
        """The window as people read it."""
        if self.start is None or self.end is None:
            return f"batch {self.batch}"
        if self.end - self.start < timedelta(days=1):
            return f"{self.start:%Y-%m-%d %H:%M} to {self.end:%Y-%m-%d %H:%M}"
        return f"{self.start:%Y-%m-%d} to {self.end:%Y-%m-%d}"

    def subject(self, column: str) -> str:
        """Name a finding's subject: a batch has no times that would tell it from another."""
        return column if self.batch is None else f"{column} @ batch {self.batch}"


def complete_windows(*, length: timedelta, after: datetime, until: datetime) -> list[Window]:
    """List the windows that start at or after one instant and end at or before another."""
    # The instants may be those of a sentinel, beside which there is no room for a window.
    if until - after < length:
        return []
    first = -((ANCHOR - after) // length)
    found: list[Window] = []
    start = ANCHOR + first * length
    while until - start >= length:
        found.append(Window(start=start, end=start + length))
        start += length
    return found


def batch_of(subject: str) -> int | None:
    """Read the batch out of a finding's subject."""
    _, mark, number = subject.rpartition(" @ batch ")
    return int(number) if mark and number.isdecimal() else None


def new_batches(
    there: Iterable[int], *, judged: Iterable[int], through: int | None
) -> list[Window]:
    """List the batches that came after those a model was fitted on and were not judged yet.

    Where it is not known which those were, only the newest batch is judged.
    """
    known = sorted(set(there))
    later = known[-1:] if through is None else [batch for batch in known if batch > through]
    return [Window(batch=batch) for batch in later if batch not in set(judged)]
