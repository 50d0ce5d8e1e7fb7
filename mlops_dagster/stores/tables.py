"""Versioned tables of rows: the contract, and the name that addresses one."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads

from mlops_dagster.records import TableRef

BATCH = "_batch"
"""The system column of a table that grows by batches: the number of the commit that brought the row.
Columns that start with an underscore belong to us and are not part of a digest."""


def is_unknown(schema: pa.Schema, column: str) -> pc.Expression:
    """Select the rows where a column is unknown: null, or of a float not a number, or an infinite one."""
    values = pc.field(column)
    # Not is_null(nan_is_null=True): of a file without nulls Arrow then says no row is unknown.
    is_float = pa.types.is_floating(schema.field(column).type)
    return values.is_null() | ~pc.is_finite(values) if is_float else values.is_null()


@dataclass(frozen=True, slots=True, kw_only=True)
class TableVersion:
    """One committed version of a table, and what was said with the commit."""

    ref: TableRef
    schema: pa.Schema
    state: Mapping[str, str]
    uri: str


class TableStore(Protocol):
    """Keeps tables under `<model>/<segment>/<noun>` names. Every write is one atomic commit.

    `state` is small text kept in the same commit as the rows (an ingest cursor); what a write does not
    name is carried over from the version before. The digest is of content: independent of row order,
    files and chunks, dependent on the schema. Writers of one table hold its lock (`Operations.hold`).
    Raises: StoreError when the place cannot be reached or holds a format of a later version.
    """

    def latest(self, name: str) -> TableVersion | None:
        """Describe the newest version, or None when there is no such table yet."""

    def at(self, name: str, version: int) -> TableVersion:
        """Describe one version. Raises: StoreError when it is not there."""

    def dataset(self, name: str, *, version: int | None = None) -> pads.Dataset:
        """Open one version for reading with column and row filters pushed down; nothing is loaded."""

    def read(
        self, name: str, *, version: int | None = None, columns: Sequence[str] | None = None
    ) -> pa.Table:
        """Load one version whole."""

    def find(self, name: str, column: str, value: str | int) -> pa.Table:
        """Load the rows that have a value in a column; files that cannot hold it are not read.

        Raises: DataNotFitError when the column is not there, or the value is none of its kind.
        """

    def batches(
        self,
        name: str,
        *,
        version: int | None = None,
        columns: Sequence[str] | None = None,
        rows: int = 131_072,
    ) -> Iterator[pa.RecordBatch]:
        """Stream one version in batches of at most `rows`, in flat memory."""

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

        `hashed` names columns of text, each with the column of these rows that has what `hex_digests`
        writes of them: they are not hashed once more for the table's digest. `widening`: a column of whole
        numbers becomes one of doubles, in all rows, when some that come are not whole.
        Raises: DataNotFitError when a column's type changed; the table is left as it was.
        """

    def upsert(
        self,
        name: str,
        rows: pa.Table,
        *,
        key: Sequence[str],
        state: Mapping[str, str] | None = None,
        widening: bool = False,
    ) -> TableVersion:
        """Add rows; a row whose key is there replaces the old one. `rows` has each key once.

        `widening` is that of `append`.
        """

    def replace(
        self,
        name: str,
        rows: pa.Table,
        *,
        where: Mapping[str, str | int],
        state: Mapping[str, str] | None = None,
    ) -> TableVersion:
        """Put `rows` in place of those whose columns equal `where`: the same call twice is one."""

    def overwrite(
        self, name: str, rows: pa.Table, *, state: Mapping[str, str] | None = None
    ) -> TableVersion:
        """Put `rows` in place of everything; older versions stay readable."""
