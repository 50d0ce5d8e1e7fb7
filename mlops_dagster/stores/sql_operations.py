"""The operations database through SQLAlchemy: SQLite in the home, or any PostgreSQL."""

import dataclasses
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from pathlib import Path

import sqlalchemy as sa

from mlops_dagster.errors import ConflictError, StoreError
from mlops_dagster.records import Decision, Finding, Move
from mlops_dagster.stores import operations_schema as schema
from mlops_dagster.stores.database import Database, create_sqlite, sqlite_url
from mlops_dagster.stores.incidents import Incidents
from mlops_dagster.stores.leases import Leases
from mlops_dagster.stores.operations import (
    ALL_FINDINGS,
    LEASE,
    FindingFilter,
    Pointer,
)
from mlops_dagster.stores.operations_rows import (
    AUTHORS,
    chosen_findings,
    insert,
    newest_of_author,
    of,
    put_finding,
    read_decision,
    read_finding,
    same_no,
    sentence,
)
from mlops_dagster.stores.sql_workers import SqlWorkers


class SqlOperations(SqlWorkers):
    """Keeps leases, accepted records, findings, decisions and the ledger in one database.

    Opens a database that has our tables already; `create_schema` makes them, `embedded` is for a file
    of our own. Raises: StoreError when the tables are missing or the database does not answer.
    """

    def __init__(self, url: str | sa.URL, *, lease: timedelta = LEASE) -> None:
        self._database = Database(url)
        self._database.check_schema()
        self._leases = Leases(self._database, lease)
        self.incidents = Incidents(self._database)

    @classmethod
    def create_schema(cls, url: str | sa.URL) -> None:
        """Make our tables in a database; those that are there stay as they are."""
        database = Database(url)
        database.create_schema()
        database.close()

    @classmethod
    def embedded(cls, path: Path, *, lease: timedelta = LEASE) -> "SqlOperations":
        """Open a SQLite file, making it first when there is none; any number of processes may."""
        if not path.exists():
            create_sqlite(path)
        return cls(sqlite_url(path), lease=lease)

    @property
    def address(self) -> str:
        """Where the database is, without its password."""
        return self._database.address

    def close(self) -> None:
        """Let go of the connections; the next call opens new ones."""
        self._database.close()

    # --- LEASES ---

    def hold(
        self, name: str, *, holder: str, wait: timedelta = timedelta(minutes=5)
    ) -> AbstractContextManager[None]:
        """Hold the lease `name` alone, waiting for it. A holder may take its own lease again.

        Raises: ConflictError naming the holder when `wait` is over, or at the end when it was lost.
        """
        return self._leases.hold(name, holder=holder, wait=wait)

    def holder(self, name: str) -> str | None:
        """Tell who holds a live lease, if anybody."""
        return self._leases.holder(name)

    def held(self, prefix: str) -> list[str]:
        """List the live leases whose names start so."""
        return self._leases.held(prefix)

    # --- ACCEPTED RECORDS AND DONE WORK ---

    def pointer(self, model: str, segment: str, noun: str) -> Pointer | None:
        """Tell which record of a noun is accepted."""
        chosen = sa.select(schema.pointers).where(
            *of(schema.pointers, model, segment), schema.pointers.c.noun == noun
        )
        with self._database.reading() as connection:
            row = connection.execute(chosen).one_or_none()
        return Pointer(path=row.path, serial=row.serial) if row else None

    def move_pointer(
        self, model: str, segment: str, noun: str, *, path: str, expected: int | None
    ) -> None:
        """Accept a record, if the pointer's serial is still `expected` (None: there was none).

        Raises: ConflictError when it moved meanwhile.
        """
        address = {"model": model, "segment": segment, "noun": noun}
        with self._database.writing() as connection:
            move: sa.Insert | sa.Update
            if expected is None:
                first = insert(connection, schema.pointers).values(**address, path=path, serial=1)
                move = first.on_conflict_do_nothing()
            else:
                same = schema.pointers.update().filter_by(**address, serial=expected)
                move = same.values(path=path, serial=expected + 1)
            moved = connection.scalar(move.returning(schema.pointers.c.serial))
        if moved is None:
            message = (
                f"{model}/{segment}/{noun}: the accepted record moved meanwhile; it is not at serial "
                f"{expected} any more. Read it again and decide anew."
            )
            raise ConflictError(message)

    def remember(self, model: str, segment: str, noun: str, *, fingerprint: str, path: str) -> None:
        """Note that work with this fingerprint was done, and where its record is."""
        with self._database.writing() as connection:
            note = insert(connection, schema.works).values(
                model=model, segment=segment, noun=noun, fingerprint=fingerprint, path=path
            )
            connection.execute(
                note.on_conflict_do_update(
                    index_elements=schema.works.primary_key, set_={"path": path}
                )
            )

    def recall(self, model: str, segment: str, noun: str, *, fingerprint: str) -> str | None:
        """Find the record of the newest work with this fingerprint."""
        chosen = sa.select(schema.works.c.path).where(
            *of(schema.works, model, segment),
            schema.works.c.noun == noun,
            schema.works.c.fingerprint == fingerprint,
        )
        with self._database.reading() as connection:
            return connection.execute(chosen).scalar_one_or_none()

    # --- FINDINGS AND DECISIONS ---

    def add_findings(self, findings: Iterable[Finding]) -> int:
        """Keep findings; the same model, segment, signal, subject and window again replaces the row.

        Returns the largest id there is now.
        """
        # One writer at a time: a reader's cursor must never pass an id that is not visible yet.
        with self._database.writing(alone="mlops_findings") as connection:
            for finding in findings:
                put_finding(connection, finding)
            largest = connection.scalar(sa.select(sa.func.max(schema.findings.c.id)))
        return int(largest or 0)

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
        chosen = chosen_findings(model, segment, only).where(schema.findings.c.id > after)
        with self._database.reading() as connection:
            rows = connection.execute(chosen.order_by(schema.findings.c.id).limit(limit))
            return [read_finding(row) for row in rows.mappings()]

    def newest_findings(
        self, model: str, segment: str, *, limit: int = 1_000, only: FindingFilter = ALL_FINDINGS
    ) -> list[Finding]:
        """List the findings kept last, newest first."""
        chosen = chosen_findings(model, segment, only)
        with self._database.reading() as connection:
            rows = connection.execute(chosen.order_by(schema.findings.c.id.desc()).limit(limit))
            return [read_finding(row)[1] for row in rows.mappings()]

    def add_decision(self, decision: Decision) -> None:
        """Keep a decision. Equal consecutive noes of one author are one, whose `at` moves on.

        The author is `evidence["by"]`: what others decide in between does not count.
        """
        with self._database.writing(alone=f"decide:{decision.model}") as connection:
            last = connection.execute(
                sa.select(schema.decisions)
                .where(*of(schema.decisions, decision.model, decision.segment))
                .order_by(schema.decisions.c.at.desc(), schema.decisions.c.id.desc())
                .limit(AUTHORS)
            )
            newest = newest_of_author(last, decision)
            values = dataclasses.asdict(decision)
            if newest is not None and same_no(newest, decision):
                again = schema.decisions.update().where(schema.decisions.c.id == newest.id)
                connection.execute(again.values(**values))
            else:
                connection.execute(schema.decisions.insert().values(**values))

    def decisions(
        self, model: str, segment: str, *, action: str | None = None, limit: int = 50
    ) -> Sequence[Decision]:
        """List decisions, newest first."""
        chosen = sa.select(schema.decisions).where(*of(schema.decisions, model, segment))
        if action is not None:
            chosen = chosen.where(schema.decisions.c.action == action)
        with self._database.reading() as connection:
            # By time: an equal no keeps its row, and its number.
            newest_first = (schema.decisions.c.at.desc(), schema.decisions.c.id.desc())
            rows = connection.execute(chosen.order_by(*newest_first).limit(limit))
            return [read_decision(row) for row in rows.mappings()]

    # --- THE LEDGER OF MOVES ---

    def open_move(self, move: Move) -> Move:
        """Write an intent, or a move that is done already. Gives it back with its id.

        Raises: ConflictError when another one of the model is open.
        """
        values = dataclasses.asdict(move)
        del values["id"]
        with self._database.writing() as connection:
            intent = insert(connection, schema.moves).values(**values)
            number = connection.scalar(intent.on_conflict_do_nothing().returning(schema.moves.c.id))
        if number is None:
            opened = self.moves(move.model, move.segment, state="open")
            message = (
                f"{move.model}/{move.segment}: another move is open, {sentence(opened)}. "
                "Finish or undo it first: mlops-dagster status shows it."
            )
            raise ConflictError(message)
        return dataclasses.replace(move, id=number)

    def close_move(self, move_id: int, *, state: str, why: str | None = None) -> None:
        """Mark an intent `done` or `undone`. The same again is no error.

        Raises: ConflictError when it ended otherwise, StoreError when it is not there.
        """
        values = {"state": state} | ({"why": why} if why is not None else {})
        with self._database.writing() as connection:
            closed = connection.execute(
                schema.moves.update()
                .where(schema.moves.c.id == move_id, schema.moves.c.state == "open")
                .values(**values)
            )
            now = connection.scalar(
                sa.select(schema.moves.c.state).where(schema.moves.c.id == move_id)
            )
        if closed.rowcount == 1 or now == state:
            return
        if now is None:
            message = f"ledger: there is no move {move_id}."
            raise StoreError(message)
        message = f"ledger: move {move_id} is {now} already, and cannot become {state}."
        raise ConflictError(message)

    def moves(self, model: str, segment: str, *, state: str | None = None) -> list[Move]:
        """List moves, oldest first."""
        chosen = (
            sa.select(schema.moves)
            .where(*of(schema.moves, model, segment))
            .order_by(schema.moves.c.id)
        )
        if state is not None:
            chosen = chosen.where(schema.moves.c.state == state)
        with self._database.reading() as connection:
            return [Move(**row) for row in connection.execute(chosen).mappings()]

    def champion_at(self, model: str, segment: str, *, instant: datetime) -> Move | None:
        """Find the last done move at or before an instant."""
        chosen = (
            sa.select(schema.moves)
            .where(
                *of(schema.moves, model, segment),
                schema.moves.c.state == "done",
                schema.moves.c.at <= instant,
            )
            .order_by(schema.moves.c.at.desc(), schema.moves.c.id.desc())
            .limit(1)
        )
        with self._database.reading() as connection:
            row = connection.execute(chosen).mappings().one_or_none()
        return Move(**row) if row else None
