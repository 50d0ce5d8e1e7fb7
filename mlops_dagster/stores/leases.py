"""Leases: being the only one, among processes and hosts, for as long as one lives."""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

import sqlalchemy as sa

from mlops_dagster.errors import ConflictError, StoreError
from mlops_dagster.stores.database import Database, database_now
from mlops_dagster.stores.operations_schema import claims
from mlops_dagster.stores.processes import ProcessName

_LOG = logging.getLogger(__name__)
_POLL_S = 0.05
_POLL_AT_MOST_S = 0.5


@dataclass(frozen=True, slots=True)
class Leases:
    """Leases as claims in a database: a lease is held while its holder has a live claim.

    Each `hold` is one claim, so a holder's second hold, in this process or another, neither waits
    for the first nor ends with it.
    """

    database: Database
    ttl: timedelta

    @contextmanager
    def hold(self, name: str, *, holder: str, wait: timedelta) -> Iterator[None]:
        """Hold the lease `name` alone, waiting for it.

        Raises: ConflictError naming the holder when `wait` is over, or, at the end, when the lease was
            lost meanwhile because this process stood still for longer than the time to live.
        """
        claim = uuid4().hex
        self._wait_for(name, claim, holder=holder, wait=wait)
        ended = threading.Event()
        renewal = threading.Thread(
            target=self._renew_until, args=(ended, claim), name=f"lease {name}", daemon=True
        )
        renewal.start()
        try:
            yield
        finally:
            ended.set()
            renewal.join()
            kept = self._release(claim)
        if not kept:
            message = (
                f"lease {name!r}: {holder} was not heard of for {self.ttl} and lost it while at work. "
                "Repeat the step."
            )
            raise ConflictError(message)

    def holder(self, name: str) -> str | None:
        """Tell who holds a live lease, if anybody."""
        with self.database.reading() as connection:
            live = self._live(connection, claims.c.name == name)
        return live[0].holder if live else None

    def held(self, prefix: str) -> list[str]:
        """List the live leases whose names start so."""
        with self.database.reading() as connection:
            live = self._live(connection, claims.c.name.startswith(prefix, autoescape=True))
        # LIKE in SQLite takes capitals for small letters.
        return sorted({row.name for row in live if row.name.startswith(prefix)})

    def _wait_for(self, name: str, claim: str, *, holder: str, wait: timedelta) -> None:
        patience = threading.Event()
        deadline = time.monotonic() + wait.total_seconds()
        pause = _POLL_S
        while (other := self._try_claim(name, claim, holder=holder)) is not None:
            left = deadline - time.monotonic()
            if left <= 0:
                message = (
                    f"lease {name!r}: {other} has held it for all of {wait}. "
                    "Let it finish, or end it, and repeat the step."
                )
                raise ConflictError(message)
            patience.wait(min(pause, left))
            pause = min(pause * 1.5, _POLL_AT_MOST_S)

    def _try_claim(self, name: str, claim: str, *, holder: str) -> str | None:
        """Claim the lease; tell who has it when it is somebody else."""
        own = ProcessName.own()
        with self.database.writing(alone=name) as connection:
            live = self._live(connection, claims.c.name == name)
            if others := [row.holder for row in live if row.holder != holder]:
                return str(others[0])
            kept = [row.claim for row in live]
            dead = claims.delete().where(claims.c.name == name, claims.c.claim.not_in(kept))
            connection.execute(dead)
            connection.execute(
                claims.insert().values(
                    claim=claim,
                    name=name,
                    holder=holder,
                    host=own.host,
                    pid=own.pid,
                    started=own.started,
                    expires_at=database_now(connection) + self.ttl,
                )
            )
        return None

    def _live(
        self, connection: sa.Connection, which: sa.ColumnElement[bool]
    ) -> list[sa.Row[tuple[object, ...]]]:
        unexpired = claims.c.expires_at > database_now(connection)
        rows = connection.execute(sa.select(claims).where(which, unexpired))
        own = ProcessName.own()
        return [
            row
            for row in rows
            if not ProcessName(row.host, row.pid, row.started).is_gone(seen_from=own)
        ]

    def _renew_until(self, ended: threading.Event, claim: str) -> None:
        while not ended.wait(self.ttl.total_seconds() / 3):
            try:
                self._renew(claim)
            except StoreError as error:
                _LOG.warning("a lease was not renewed, trying again: %s", error)

    def _renew(self, claim: str) -> None:
        with self.database.writing() as connection:
            later = database_now(connection) + self.ttl
            connection.execute(
                claims.update().where(claims.c.claim == claim).values(expires_at=later)
            )

    def _release(self, claim: str) -> bool:
        with self.database.writing() as connection:
            gone = connection.execute(claims.delete().where(claims.c.claim == claim))
        return gone.rowcount == 1
