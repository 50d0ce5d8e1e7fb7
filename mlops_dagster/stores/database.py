"""Opening the operations database: SQLite or PostgreSQL, through SQLAlchemy."""

import contextlib
import os
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from mlops_dagster.clock import wall_now
from mlops_dagster.errors import StoreError, redact, redact_in
from mlops_dagster.stores.operations_schema import VERSION, metadata, schema_version

_STORE = "operations"
_BUSY_S = 30


class Database:
    """A database that knows our tables. Safe to share by threads, and by the children of a fork."""

    def __init__(self, url: str | sa.URL) -> None:
        try:
            self._engine = sa.create_engine(url, pool_pre_ping=True)
        except (SQLAlchemyError, ImportError) as error:
            said = redact_in(str(error), str(url))
            message = f"operations: the address cannot be opened: {said}"
            raise StoreError(message) from None
        whole = self._engine.url.render_as_string(hide_password=False)
        self.address = redact(whole)
        self._reads = self._engine.execution_options(mlops_reads=True)
        self._pid = os.getpid()
        # SQLite writes its log back into the file when the last connection is closed.
        weakref.finalize(self, _let_go, self._engine, self._pid)
        if self._engine.dialect.name == "sqlite":
            sa.event.listen(self._engine, "connect", _prepare_sqlite)
            sa.event.listen(self._engine, "begin", _begin_sqlite)

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """Read in one transaction."""
        with self._answering(), self._own(self._reads).begin() as connection:
            yield connection

    @contextmanager
    def writing(self, *, alone: str = "") -> Iterator[sa.Connection]:
        """Write in one transaction; those with the same `alone` come one after another."""
        with self._answering(), self._own(self._engine).begin() as connection:
            if alone and connection.dialect.name == "postgresql":
                lock = sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(alone, 0))
                connection.execute(sa.select(lock))
            yield connection

    def create_schema(self) -> None:
        """Make the tables and columns that are missing."""
        with self.writing(alone="mlops_schema") as connection:
            metadata.create_all(connection)
            # What was added since an older format are tables and columns, which are there now.
            connection.execute(schema_version.delete().where(schema_version.c.version < VERSION))
            if connection.scalar(sa.select(schema_version.c.version)) is None:
                connection.execute(schema_version.insert().values(version=VERSION))

    def check_schema(self) -> None:
        """See that the tables are there and of our version. Raises: StoreError if not."""
        with self.reading() as connection:
            there = sa.inspect(connection).has_table(schema_version.name)
            version = connection.scalar(sa.select(schema_version.c.version)) if there else None
        if version is None:
            message = (
                f"operations: {self.address} has no tables of this package. "
                "Make them once: mlops-dagster setup"
            )
            raise StoreError(message)
        if version != VERSION:
            way = "Upgrade the package" if version > VERSION else "Run: mlops-dagster setup"
            message = (
                f"operations: {self.address} is of format {version}; this version needs {VERSION}. "
                f"{way}."
            )
            raise StoreError(message)

    def close(self) -> None:
        """Let go of the connections that nobody uses."""
        self._engine.dispose()

    def _own(self, engine: sa.Engine) -> sa.Engine:
        if self._pid != os.getpid():
            self._engine.dispose(close=False)
            self._pid = os.getpid()
        return engine

    @contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            raise StoreError.unreachable(_STORE, self.address, error) from error


def _let_go(engine: sa.Engine, opened_by: int) -> None:
    engine.dispose(close=opened_by == os.getpid())


def database_now(connection: sa.Connection) -> datetime:
    """Tell the time that leases end by: the server's, so that hosts with wrong clocks agree."""
    if connection.dialect.name == "postgresql":
        moment: datetime = connection.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
        return moment.astimezone(UTC)
    return wall_now()


def _prepare_sqlite(connection: Any, _record: object) -> None:
    # Without this the driver begins transactions itself, late and without the write lock.
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout = {_BUSY_S * 1000}")


def _begin_sqlite(connection: sa.Connection) -> None:
    """Take the write lock at once: a reader that turns writer late is refused without waiting."""
    reads = connection.get_execution_options().get("mlops_reads", False)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def sqlite_url(path: Path) -> sa.URL:
    """Address a SQLite file."""
    return sa.URL.create("sqlite", database=str(path.absolute()))


def create_sqlite(path: Path) -> None:
    """Make an empty database beside the path and put it there whole, if nobody was faster."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        database = Database(sqlite_url(fresh))
        # The file remembers it: readers and one writer do not wait for each other.
        with database.reading() as connection:
            connection.exec_driver_sql("COMMIT")
            connection.exec_driver_sql("PRAGMA journal_mode = WAL")
            connection.exec_driver_sql("BEGIN")
        database.create_schema()
        database.close()
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(fresh)
    finally:
        fresh.unlink(missing_ok=True)
