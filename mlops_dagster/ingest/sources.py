"""One door to every kind of source."""

from collections.abc import Collection, Iterator
from typing import assert_never

import pyarrow as pa

from mlops_dagster.errors import redact
from mlops_dagster.ingest import source_asset, source_file, source_function, source_sql
from mlops_dagster.ingest.columns import together
from mlops_dagster.ingest.cursor import Since
from mlops_dagster.ingest.source_files import read_files, text_columns
from mlops_dagster.ingest.spec import AssetSource, FileSource, FunctionSource, SqlSource

AnySource = FileSource | SqlSource | FunctionSource | AssetSource


def read(
    source: AnySource,
    *,
    since: Since | None,
    where: str,
    value: object = None,
    stored: pa.Schema | None = None,
) -> Iterator[pa.Table]:
    """Read a source past `since`; `value` is that of an asset source.

    Columns that are text in the `stored` table are read as text from files that do not say it.
    """
    match source:
        case FileSource():
            return source_file.read(source, texts=text_columns(stored), where=where)
        case SqlSource():
            return source_sql.read(source, since=since, where=where)
        case FunctionSource():
            return source_function.read(source, since=since, where=where)
        case AssetSource():
            return source_asset.read(source, value=value, where=where)
        case _:
            assert_never(source)


def read_whole(
    source: AnySource,
    *,
    since: Since | None,
    stored: pa.Schema | None,
    where: str,
    times: Collection[str] = (),
    value: object = None,
) -> pa.Table:
    """Read a source into one table; files, which may not say their types, by those of `stored`.

    `times` are the columns that must hold times.

    Raises: DataNotFitError when its parts do not fit together; what `read` raises.
    """
    if isinstance(source, FileSource):
        return read_files(source, stored=stored, times=times, where=where)
    return together(read(source, since=since, where=where, value=value), where=where)


def state(
    source: AnySource, *, cursor: str | None, where: str, target: str | None = None
) -> str | None:
    """Fingerprint a source cheaply, for a sensor; None when it cannot be told."""
    match source:
        case FileSource():
            return source_file.state(source, where=where)
        case SqlSource():
            return source_sql.state(source, cursor=cursor, target=target, where=where)
        case FunctionSource():
            return source_function.state(source, where=where)
        case AssetSource():
            return source_asset.state(source, where=where)
        case _:
            assert_never(source)


def is_whole(source: AnySource, *, cursor: str | None, keyed: bool, where: str) -> bool:
    """Tell whether each read gives all that the source has, so that no rows are no answer."""
    match source:
        case FileSource():
            return True
        case SqlSource():
            return cursor is None
        case FunctionSource():
            return cursor is None or not source_function.takes_since(source, where=where)
        case AssetSource():
            # The value of an asset may be one partition of many.
            return not keyed and cursor is None
        case _:
            assert_never(source)


def place(source: AnySource, *, where: str) -> str:
    """Name where a source is, for people and without a secret."""
    match source:
        case SqlSource():
            return source_sql.address(source, where=where)
        case AssetSource():
            return "/".join(source.key)
        case _:
            return redact(source.path)
