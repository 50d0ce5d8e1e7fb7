"""What happens around the models: leases, accepted records, findings, decisions, the ledger of moves."""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from mlops_dagster.records import Decision, Finding, Move, Outcome

if TYPE_CHECKING:
    from mlops_dagster.stores.incidents import Incidents
from mlops_dagster.stores.traffic import Traffic

LEASE = timedelta(seconds=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pointer:
    """The accepted record of one noun. `serial` grows by one with each move."""

    path: str
    serial: int


ALIVE = timedelta(seconds=15)
"""A worker that has not told of itself for so long is taken for gone."""
REMEMBERED = timedelta(days=1)
"""A worker that ended without a word is told of for so long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """One process that answers for a model, as it told last. `seen_at` is the wall clock's."""

    worker: str
    model: str
    segment: str
    address: str
    version: str
    problem: str
    pid: int
    seen_at: datetime
    traffic: tuple[Traffic, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingFilter:
    """Which findings are meant; what is not said chooses all. Those at `since` itself are not."""

    signals: frozenset[str] = frozenset()
    outcome: Outcome | None = None
    champion: str | None = None
    since: datetime | None = None


ALL_FINDINGS = FindingFilter()


class Operations(Protocol):
    """Keeps the facts that must be agreed upon by processes. Every call is one transaction.

    A lease is renewed by a thread of its holder; when the holder died, it ends after `ttl`, or at once
    when it is seen that the process on this host is gone. Lease times are the wall clock's.
    Raises: StoreError when the database does not answer.
    """

    @property
    def incidents(self) -> "Incidents":
        """What is wrong with models, and whether people were told."""

    def hold(
        self, name: str, *, holder: str, wait: timedelta = timedelta(minutes=5)
    ) -> AbstractContextManager[None]:
        """Hold the lease `name` alone, waiting for it. A holder may take its own lease again.

        Raises: ConflictError naming the holder when `wait` is over.
        """

    def holder(self, name: str) -> str | None:
        """Tell who holds a live lease, if anybody."""

    def held(self, prefix: str) -> list[str]:
        """List the live leases whose names start so."""

    def pointer(self, model: str, segment: str, noun: str) -> Pointer | None:
        """Tell which record of a noun is accepted."""

    def move_pointer(
        self, model: str, segment: str, noun: str, *, path: str, expected: int | None
    ) -> None:
        """Accept a record, if the pointer's serial is still `expected` (None: there was none).

        Raises: ConflictError when it moved meanwhile.
        """

    def remember(self, model: str, segment: str, noun: str, *, fingerprint: str, path: str) -> None:
        """Note that work with this fingerprint was done, and where its record is."""

    def recall(self, model: str, segment: str, noun: str, *, fingerprint: str) -> str | None:
        """Find the record of the newest work with this fingerprint."""

    def add_findings(self, findings: Iterable[Finding]) -> int:
        """Keep findings; the same model, segment, signal, subject and window again replaces the row.

        Returns the largest id there is now.
        """

    def findings(
        self,
        model: str,
        segment: str,
        *,
        after: int = 0,
        limit: int = 10_000,
        only: FindingFilter = ALL_FINDINGS,
    ) -> list[tuple[int, Finding]]:
        """List findings whose id is larger, oldest first. A replaced finding gets a new id."""

    def newest_findings(
        self, model: str, segment: str, *, limit: int = 1_000, only: FindingFilter = ALL_FINDINGS
    ) -> list[Finding]:
        """List the findings kept last, newest first."""

    def add_decision(self, decision: Decision) -> None:
        """Keep a decision. Equal consecutive noes of one author are one, whose `at` moves on.

        The author is `evidence["by"]`: what others decide in between does not count.
        """

    def decisions(
        self, model: str, segment: str, *, action: str | None = None, limit: int = 50
    ) -> Sequence[Decision]:
        """List decisions, newest first."""

    def open_move(self, move: Move) -> Move:
        """Write an intent. Raises: ConflictError when another one of the model is open."""

    def close_move(self, move_id: int, *, state: str, why: str | None = None) -> None:
        """Mark an intent `done` or `undone`."""

    def moves(self, model: str, segment: str, *, state: str | None = None) -> list[Move]:
        """List moves, oldest first."""

    def beat(self, worker: Worker) -> None:
        """Keep what a worker tells of itself, in place of what it told before."""

    def leave(self, worker: str) -> None:
        """Forget a worker that ended."""

    def workers(self, model: str, segment: str, *, since: datetime) -> list[Worker]:
        """List the workers that told of themselves since an instant."""

    def champion_at(self, model: str, segment: str, *, instant: datetime) -> Move | None:
        """Find the last done move at or before an instant."""
