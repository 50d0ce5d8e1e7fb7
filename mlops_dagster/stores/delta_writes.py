"""One planned change as one Delta commit, with what we note beside the rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from urllib.parse import unquote, urlparse

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads
from deltalake import ColumnProperties, DeltaTable, WriterProperties, write_deltalake
from pyarrow import fs

from mlops_dagster.errors import StoreError
from mlops_dagster.stores.changes import Change
from mlops_dagster.stores.commits import CommitNote
from mlops_dagster.stores.content import ContentSum, digest_of
from mlops_dagster.stores.hashes import mostly_differ
from mlops_dagster.stores.logical_types import is_text

_FOREVER = "interval 36500 days"
# With expired-log clean-up on, a checkpoint makes versions older than 30 days impossible to open.
_CONFIGURATION = {
    "delta.enableExpiredLogCleanup": "false",
    "delta.logRetentionDuration": _FOREVER,
    "delta.deletedFileRetentionDuration": _FOREVER,
}

_GROUP_ROWS = 131_072
"""Rows that a reader decodes at once, or passes over by their footer."""
_REWRITTEN_BYTES = 2**24
"""Size of a rewritten file: larger ones grow with each change that touches them, and make the next dear."""


def dataset_of(table: DeltaTable) -> pads.FileSystemDataset:
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


def refuse_lost_files(name: str, table: DeltaTable, dataset: pads.FileSystemDataset) -> None:
    """See that a local table's files are there; an object store is not asked. Raises: StoreError."""
    if local_files(table) is None:
        return
    folder = Path(unquote(urlparse(table.table_uri).path))
    if lost := [one for one in dataset.files if not (folder / one).exists()]:
        message = (
            f"{name}: {len(lost)} file(s) of version {table.version()} are gone from {folder}, such as "
            f"{lost[0]}. Bring them back from a backup. Without one, move that folder away: the next run "
            "makes the table again from what it is made of."
        )
        raise StoreError(message)


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

    def holding(self, keys: pa.Table) -> pads.Dataset:
        """Leave out the files whose ranges, as the log keeps them, exclude all of these keys."""
        files = pa.table(self.table.get_add_actions())
        excluded = [_outside(files, name, keys.column(name)) for name in keys.column_names]
        out = set(files["path"].filter(reduce(pc.or_, excluded)).to_pylist())
        if not out:
            return self.stored
        kept = [one for one in self.stored.get_fragments() if one.path not in out]
        return pads.FileSystemDataset(
            kept, self.stored.schema, self.stored.format, self.stored.filesystem
        )


def _outside(files: pa.Table, name: str, values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Tell of each file whether its range of a column excludes all values; false when not known.

    Only of text and whole numbers: the log rounds times, and floats may be NaN.
    """
    kind = values.type
    exact = pa.types.is_string(kind) or pa.types.is_integer(kind)
    if not exact or values.null_count or not _ranged(files, name):
        return pa.chunked_array([pa.repeat(False, files.num_rows)])  # noqa: FBT003 - a value
    ends = pc.min_max(values)
    below = pc.less(pc.struct_field(files["max"], [name]), ends["min"])
    above = pc.greater(pc.struct_field(files["min"], [name]), ends["max"])
    return pc.fill_null(pc.or_(below, above), False)  # noqa: FBT003


def _ranged(files: pa.Table, name: str) -> bool:
    """Tell whether the log keeps ranges of a column; each side may be there without the other."""
    sides = [files.schema.field(side).type for side in ("min", "max") if side in files.schema.names]
    return len(sides) == 2 and all(side.get_field_index(name) >= 0 for side in sides)


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
        _in_one_piece(change.rows),
        mode="append" if change.kind == "append" else "overwrite",
        schema_mode="overwrite" if change.kind == "overwrite" else "merge" if grown else None,
        predicate=change.condition or None,
        target_file_size=_REWRITTEN_BYTES if change.kind == "replace" else None,
        writer_properties=_packed(change.rows),
        commit_properties=note.properties(),
    )


def create(uri: str, change: Change, note: CommitNote) -> None:
    """Make the table with its first commit; one that is there already is an error."""
    write_deltalake(
        uri,
        _in_one_piece(change.rows),
        mode="error",
        configuration=_CONFIGURATION,
        writer_properties=_packed(change.rows),
        commit_properties=note.properties(),
    )


def _packed(rows: pa.Table) -> WriterProperties:
    """Write half the bytes that delta-rs would; texts that all differ get no dictionary, tried in vain."""
    apart = [
        column.name
        for column in rows.schema
        if is_text(column.type) and mostly_differ(rows.column(column.name))
    ]
    plain = ColumnProperties(dictionary_enabled=False)
    return WriterProperties(
        compression="ZSTD",
        compression_level=1,
        max_row_group_size=_GROUP_ROWS,
        column_properties=dict.fromkeys(apart, plain),
    )


def _in_one_piece(rows: pa.Table) -> pa.Table:
    """Keep the rows' order: delta-rs deals several chunks out to its threads, whichever is free."""
    return rows.combine_chunks() if any(one.num_chunks > 1 for one in rows.columns) else rows
