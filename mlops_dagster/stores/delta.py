"""Tables as Delta Lake tables, through the `deltalake` package."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

import pyarrow as pa
import pyarrow.dataset as pads
from deltalake import DeltaTable, QueryBuilder
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from mlops_dagster.errors import ConflictError, DataNotFitError, StoreError, redact
from mlops_dagster.records import TableRef
from mlops_dagster.stores.changes import (
    Change,
    covering,
    plan_append,
    plan_overwrite,
    plan_replace,
    plan_upsert,
    sum_dataset,
    typed,
)
from mlops_dagster.stores.commits import CommitNote, find_note
from mlops_dagster.stores.content import ContentSum, digest_of, is_current
from mlops_dagster.stores.delta_writes import (
    Opened,
    create,
    dataset_of,
    note_after,
    put,
    refuse_lost_files,
    says_nothing,
)
from mlops_dagster.stores.streams import stream
from mlops_dagster.stores.tables import TableVersion

_STORE = "table store"
_TRIES = 20


Plan: TypeAlias = Callable[[Opened | None], Change]


@dataclass(frozen=True)
class DeltaTables:
    """Keeps tables in folders under `root`: a local path, or an address that deltalake knows.

    Each commit carries the digest, the content's sum, the rows and the caller's state. A commit by
    somebody else (OPTIMIZE, another writer) is taken into account: the state is read from our last
    one, and the sum made anew when rows can have changed.
    """

    root: str
    _counted: dict[tuple[str, int], ContentSum] = field(
        default_factory=dict, repr=False, compare=False
    )

    def latest(self, name: str) -> TableVersion | None:
        """Describe the newest version, or None when there is no such table yet."""
        opened = self._open(name)
        return self._describe(name, opened) if opened else None

    def at(self, name: str, version: int) -> TableVersion:
        """Describe one version. Raises: StoreError when it is not there."""
        with self._answering(name):
            return self._describe(name, self._noted(name, self._table(name, version)))

    def dataset(self, name: str, *, version: int | None = None) -> pads.Dataset:
        """Open one version for reading with column and row filters pushed down; nothing is loaded."""
        with self._answering(name):
            table = self._table(name, version)
            found = dataset_of(table)
            refuse_lost_files(name, table, found)
            return found

    def read(
        self, name: str, *, version: int | None = None, columns: Sequence[str] | None = None
    ) -> pa.Table:
        """Load one version whole. Raises: DataNotFitError when a column is not there."""
        dataset = self.dataset(name, version=version)
        with self._answering(name):
            return dataset.to_table(columns=_known(name, dataset.schema, columns))

    def find(self, name: str, column: str, value: str | int) -> pa.Table:
        """Load the rows that have a value in a column.

        The ranges that Delta's log keeps of each file are the index: written with the rows, in the
        same commit, by whoever rewrites a file. A file without a range is read.
        Raises: DataNotFitError when the column is not there, or the value is none of its kind.
        """
        with self._answering(name):
            table = self._table(name, None)
            schema = pa.schema(table.schema().to_arrow())
            _known(name, schema, [column])
            wanted = covering(name, column, typed(name, schema, column, value)).sql
            query = QueryBuilder().register("stored", table)
            found = query.execute(f"SELECT * FROM stored WHERE {wanted}").read_all()
            return pa.table(found).select(schema.names).cast(schema)

    def batches(
        self,
        name: str,
        *,
        version: int | None = None,
        columns: Sequence[str] | None = None,
        rows: int = 131_072,
    ) -> Iterator[pa.RecordBatch]:
        """Stream one version in batches of at most `rows`, in flat memory."""
        dataset = self.dataset(name, version=version)
        wanted = _known(name, dataset.schema, columns)
        with self._answering(name):
            yield from stream(dataset, columns=wanted, rows=rows)

    def append(
        self,
        name: str,
        rows: pa.Table,
        *,
        state: Mapping[str, str] | None = None,
        hashed: Mapping[str, str] | None = None,
        widening: bool = False,
    ) -> TableVersion:
        """Add rows (zero rows commit the state alone). The first write makes the table.

        Raises: DataNotFitError when a column's type changed; the table is left as it was.
        """

        def plan(base: Opened | None) -> Change:
            stored = base.stored if base else None
            return plan_append(name, rows, stored, hashed=hashed or {}, widening=widening)

        return self._write(name, plan, state or {})

    def upsert(
        self,
        name: str,
        rows: pa.Table,
        *,
        key: Sequence[str],
        state: Mapping[str, str] | None = None,
        widening: bool = False,
    ) -> TableVersion:
        """Add rows; a row whose key is there replaces the old one. `rows` has each key once."""

        def plan(base: Opened | None) -> Change:
            stored, near = (base.stored, base.holding) if base else (None, None)
            return plan_upsert(name, rows, stored, key=key, near=near, widening=widening)

        return self._write(name, plan, state or {})

    def replace(
        self,
        name: str,
        rows: pa.Table,
        *,
        where: Mapping[str, str | int],
        state: Mapping[str, str] | None = None,
    ) -> TableVersion:
        """Put `rows` in place of those whose columns equal `where`: the same call twice is one."""

        def plan(base: Opened | None) -> Change:
            return plan_replace(name, rows, base.stored if base else None, where=where)

        return self._write(name, plan, state or {})

    def overwrite(
        self, name: str, rows: pa.Table, *, state: Mapping[str, str] | None = None
    ) -> TableVersion:
        """Put `rows` in place of everything; older versions stay readable. Types may change."""

        def plan(base: Opened | None) -> Change:
            stored = base.stored if base else None
            content = base.note.content if base else ContentSum()
            return plan_overwrite(name, rows, stored, content=content)

        return self._write(name, plan, state or {})

    def uri(self, name: str) -> str:
        """Where a table lies."""
        root = self.root.rstrip("/")
        return f"{root}/{name}" if "://" in root else f"{Path(root).absolute()}/{name}"

    # --- READING ---

    @contextmanager
    def _answering(self, name: str) -> Iterator[None]:
        try:
            yield
        except (DeltaError, OSError) as error:
            raise StoreError.unreachable(_STORE, self.uri(name), error) from error

    def _open(self, name: str) -> Opened | None:
        with self._answering(name):
            try:
                table = DeltaTable(self.uri(name))
            except TableNotFoundError:
                return None
            return self._noted(name, table)

    def _table(self, name: str, version: int | None) -> DeltaTable:
        try:
            newest = DeltaTable(self.uri(name))
        except TableNotFoundError as error:
            message = f"{name}: there is no such table under {redact(self.root)}. Ingest or build it first."
            raise StoreError(message) from error
        if version is None or version == newest.version():
            return newest
        if not 0 <= version <= newest.version():
            message = f"{name}: there is no version {version}; the newest is {newest.version()}."
            raise StoreError(message)
        return DeltaTable(self.uri(name), version=version)

    def _noted(self, name: str, table: DeltaTable) -> Opened:
        stored = dataset_of(table)
        found = find_note(self.uri(name), table.version())
        if found.note and found.exact:
            return Opened(table=table, stored=stored, note=found.note)
        content = self._count(table, stored)
        note = CommitNote(
            digest=digest_of(stored.schema, content),
            content=content,
            state=found.note.state if found.note else {},
        )
        return Opened(table=table, stored=stored, note=note)

    def _count(self, table: DeltaTable, stored: pads.Dataset) -> ContentSum:
        """Sum somebody else's version, once."""
        version = (str(table.metadata().id), table.version())
        if version not in self._counted:
            self._counted[version] = sum_dataset(stored)
        return self._counted[version]

    def _describe(self, name: str, opened: Opened) -> TableVersion:
        return TableVersion(
            ref=TableRef(
                name=name,
                version=opened.table.version(),
                digest=opened.note.digest,
                rows=opened.note.content.rows,
            ),
            schema=opened.stored.schema,
            state=opened.note.state,
            uri=self.uri(name),
        )

    # --- WRITING ---

    def _write(self, name: str, plan: Plan, state: Mapping[str, str]) -> TableVersion:
        """Plan against the newest version and commit, planning anew when somebody was faster."""
        for _ in range(_TRIES):
            base = self._open(name)
            if base and not is_current(base.note.digest):  # nothing can be added to its sums
                counted = self._count(base.table, base.stored)
                base = replace(base, note=replace(base.note, content=counted))
            change = plan(base)
            note = note_after(base, change, state)
            if base and says_nothing(base, change, note):
                return self._describe(name, base)
            with self._answering(name):
                if self._commit(name, base, change, note):
                    return self._written(name, base, change, note)
        message = f"{name}: other writers committed {_TRIES} times meanwhile. Repeat the step."
        raise ConflictError(message)

    def _written(
        self, name: str, base: Opened | None, change: Change, note: CommitNote
    ) -> TableVersion:
        version = base.table.version() if base else 0
        return TableVersion(
            ref=TableRef(name=name, version=version, digest=note.digest, rows=note.content.rows),
            schema=change.rows.schema,
            state=note.state,
            uri=self.uri(name),
        )

    def _commit(self, name: str, base: Opened | None, change: Change, note: CommitNote) -> bool:
        """Commit a change to exactly the version it was planned for; tell whether it was still that."""
        try:
            if base is None:
                create(self.uri(name), change, note)
            else:
                put(base, change, note)
        except CommitFailedError:
            return False
        except DeltaError:
            if base is None and DeltaTable.is_deltatable(self.uri(name)):
                return False
            raise
        return True


def _known(name: str, schema: pa.Schema, columns: Sequence[str] | None) -> list[str] | None:
    if columns is None:
        return None
    if missing := [one for one in columns if one not in schema.names]:
        raise DataNotFitError.missing_columns(name, missing, schema.names)
    return list(columns)
