"""One planned change as one Delta commit, with what we note beside the rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote, urlparse

import pyarrow.dataset as pads
from deltalake import DeltaTable, write_deltalake
from pyarrow import fs

from mlops_dagster.stores.changes import Change
from mlops_dagster.stores.commits import CommitNote
from mlops_dagster.stores.content import ContentSum, digest_of

_FOREVER = "interval 36500 days"
# With expired-log clean-up on, a checkpoint makes versions older than 30 days impossible to open.
_CONFIGURATION = {
    "delta.enableExpiredLogCleanup": "false",
    "delta.logRetentionDuration": _FOREVER,
    "delta.deletedFileRetentionDuration": _FOREVER,
}


def dataset_of(table: DeltaTable) -> pads.Dataset:
    """Open a version's files as one dataset.

    `to_pyarrow_dataset` promises Arrow more than is true: of a file that was written before a column
    was added it says that the column has values there, so a filter for nulls passes over its rows.
    """
    dataset = table.to_pyarrow_dataset(filesystem=local_files(table))
    if table.metadata().partition_columns:
        return dataset
    fragments = [
        dataset.format.make_fragment(one.path, filesystem=dataset.filesystem)
        for one in dataset.get_fragments()
    ]
    return pads.FileSystemDataset(fragments, dataset.schema, dataset.format, dataset.filesystem)


def local_files(table: DeltaTable) -> fs.FileSystem | None:
    """Read local files with Arrow's own file system; None leaves an object store to deltalake.

    deltalake's is Python behind Arrow's threads: a process that ends soon after a read may abort.
    """
    address = urlparse(table.table_uri)
    if address.scheme not in {"", "file"}:
        return None
    return fs.SubTreeFileSystem(unquote(address.path), fs.LocalFileSystem())


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """One version of a table, and what was noted with it."""

    table: DeltaTable
    stored: pads.Dataset
    note: CommitNote


def note_after(base: Opened | None, change: Change, state: Mapping[str, str]) -> CommitNote:
    """Say what the table holds after a change; state that is not named is carried over."""
    before = base.note if base else CommitNote(digest="", content=ContentSum())
    content = before.content - change.removed + change.added
    return CommitNote(
        digest=digest_of(change.rows.schema, content),
        content=content,
        state={**before.state, **state},
    )


def says_nothing(base: Opened, change: Change, note: CommitNote) -> bool:
    """Tell whether a commit would repeat the version before it."""
    return change.kind == "append" and not change.rows.num_rows and note.state == base.note.state


def put(base: Opened, change: Change, note: CommitNote) -> None:
    """Commit rows that come, or that take the place of others."""
    grown = set(change.rows.column_names) - set(base.stored.schema.names)
    write_deltalake(
        base.table,
        change.rows,
        mode="append" if change.kind == "append" else "overwrite",
        schema_mode="overwrite" if change.kind == "overwrite" else "merge" if grown else None,
        predicate=change.condition or None,
        commit_properties=note.properties(),
    )


def create(uri: str, change: Change, note: CommitNote) -> None:
    """Make the table with its first commit; one that is there already is an error."""
    write_deltalake(
        uri,
        change.rows,
        mode="error",
        configuration=_CONFIGURATION,
        commit_properties=note.properties(),
    )
