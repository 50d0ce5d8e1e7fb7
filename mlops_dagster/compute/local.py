"""Where work runs: the contract, and the local default of DuckDB and threads."""

import os
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Generic, Protocol, TypeAlias, TypeVar
from uuid import uuid4

import duckdb
import pyarrow as pa
import pyarrow.dataset as pads
from threadpoolctl import threadpool_info, threadpool_limits

from mlops_dagster.errors import DataNotFitError, StoreError, first_line

Relation: TypeAlias = pa.Table | pads.Dataset | pa.RecordBatchReader
Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Done(Generic[Item, Result]):
    """How one task ended: with a `result`, or with the `error` that it raised."""

    item: Item
    result: Result | None = None
    error: Exception | None = None

    def value(self) -> Result:
        """Give the result, or raise the task's error."""
        if self.error is not None:
            raise self.error
        return self.result  # type: ignore[return-value]  # None is a result where Result allows it


class Compute(Protocol):
    """Runs relational work, batches and tasks. What goes in and comes out is Arrow, never pandas.

    Raises: DataNotFitError when a query does not fit its tables, StoreError when memory runs out.
    """

    def sql(self, query: str, tables: Mapping[str, Relation]) -> pa.Table:
        """Answer a query over the named tables and no others. Times without a zone stay without."""

    def sql_batches(
        self, query: str, tables: Mapping[str, Relation], *, rows: int = 131_072
    ) -> pa.RecordBatchReader:
        """Answer a query as a stream of batches of about `rows`, in flat memory."""

    def map_batches(
        self,
        source: Iterable[pa.RecordBatch],
        make: Callable[[], Callable[[pa.Table], pa.Table]],
    ) -> Iterator[pa.Table]:
        """Apply a function to every batch, in order. `make` builds it, with its state, once a worker."""

    def map_tasks(
        self, fn: Callable[[Item], Result], items: Iterable[Item], *, workers: int
    ) -> Iterator[Done[Item, Result]]:
        """Apply a function to every item, in order. A failure does not stop the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalCompute:
    """This machine: DuckDB for queries, this thread for batches, threads for tasks.

    `memory_limit` is what a query may take before it spills to `spill` (`4GB`; empty: 80 % of the
    machine). `threads` 0 means all cores. Nothing is ever downloaded.
    """

    memory_limit: str = ""
    threads: int = 0
    spill: Path = Path(tempfile.gettempdir()) / "mlops_dagster_spill"

    def sql(self, query: str, tables: Mapping[str, Relation]) -> pa.Table:
        """Answer a query over the named tables and no others."""
        with _answering(), self._connect(tables) as connection:
            return connection.sql(query).to_arrow_table()

    def sql_batches(
        self, query: str, tables: Mapping[str, Relation], *, rows: int = 131_072
    ) -> pa.RecordBatchReader:
        """Answer a query as a stream of batches of about `rows`, in flat memory."""
        connection = self._connect(tables)
        with _answering():
            reader = connection.sql(query).to_arrow_reader(rows)
        return pa.RecordBatchReader.from_batches(reader.schema, _closing(connection, reader))

    def map_batches(
        self,
        source: Iterable[pa.RecordBatch],
        make: Callable[[], Callable[[pa.Table], pa.Table]],
    ) -> Iterator[pa.Table]:
        """Apply a function to every batch, in order. `make` builds it, with its state, once."""
        apply = make()
        for batch in source:
            yield apply(pa.Table.from_batches([batch]))

    def map_tasks(
        self, fn: Callable[[Item], Result], items: Iterable[Item], *, workers: int
    ) -> Iterator[Done[Item, Result]]:
        """Apply a function to every item, in order. A failure does not stop the others."""
        waiting = iter(items)
        pool = ThreadPoolExecutor(
            max_workers=workers,
            thread_name_prefix="mlops_dagster",
            initializer=_share_cores,
            initargs=(workers,),
        )
        try:
            # Only so many items are taken from the source as keep the workers busy.
            running = deque((item, pool.submit(fn, item)) for item in islice(waiting, 2 * workers))
            while running:
                item, future = running.popleft()
                done = _ended(item, future)
                running.extend((one, pool.submit(fn, one)) for one in islice(waiting, 1))
                yield done
        finally:
            pool.shutdown(cancel_futures=True)

    def _connect(self, tables: Mapping[str, Relation]) -> duckdb.DuckDBPyConnection:
        """Open a database of its own for one query: nothing is left over from another."""
        config: dict[str, str | bool | int | float | list[str]] = {
            "autoinstall_known_extensions": False,
            "python_enable_replacements": False,
            # Two databases that spill into one folder overwrite each other's files.
            "temp_directory": str(self.spill / uuid4().hex),
        }
        if self.memory_limit:
            config["memory_limit"] = self.memory_limit
        if self.threads:
            config["threads"] = self.threads
        connection = duckdb.connect(config=config)
        connection.execute("SET TimeZone = 'UTC'")
        for name, relation in tables.items():
            connection.register(name, relation)
        return connection


def _share_cores(workers: int) -> None:
    """Leave each worker its part of the cores: OpenMP would start a thread for every core in each.

    Threads that wait for one another burn what the others need. It holds for the calling thread alone,
    and never gives more than somebody declared.
    """
    part = max(1, _cores() // workers)
    pools = [one["num_threads"] for one in threadpool_info() if one["user_api"] == "openmp"]
    if any(threads > part for threads in pools):
        threadpool_limits(part, user_api="openmp")


def _cores() -> int:
    """Count the cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1


def _ended(item: Item, future: Future[Result]) -> Done[Item, Result]:
    error = future.exception()
    if error is None:
        return Done(item, result=future.result())
    if isinstance(error, Exception):
        return Done(item, error=error)
    raise error


def _closing(
    connection: duckdb.DuckDBPyConnection, reader: pa.RecordBatchReader
) -> Iterator[pa.RecordBatch]:
    with connection, _answering():
        yield from reader


@contextmanager
def _answering() -> Iterator[None]:
    try:
        yield
    except duckdb.OutOfMemoryException as error:
        message = (
            f"compute: the query needs more memory than it may take: {first_line(error)}. "
            "Raise memory_limit, or let it work on fewer rows at a time."
        )
        raise StoreError(message) from error
    except duckdb.Error as error:
        message = f"compute: the query does not fit its tables: {first_line(error)}"
        raise DataNotFitError(message) from error
