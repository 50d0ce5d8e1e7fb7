"""All files of a source as one table: no single file decides what a column is. Files are only read."""

from collections.abc import Collection, Sequence
from typing import TypeAlias

import pyarrow as pa

from mlops_dagster.errors import DataNotFitError, redact
from mlops_dagster.ingest.columns import refuse_twice, refuse_words, together
from mlops_dagster.ingest.source_file import CSV_KINDS, read_each
from mlops_dagster.ingest.spec import FileSource, guess_format

Parts: TypeAlias = Sequence[tuple[str, pa.Table]]


def read_files(
    source: FileSource,
    *,
    stored: pa.Schema | None,
    where: str,
    times: Collection[str] = (),
) -> pa.Table:
    """Read every file; a column that is text in the `stored` table is read as text.

    A column that the table has not yet is text where it is text in any file: `01234` stays what it is.
    Raises: DataNotFitError naming the file that does not fit; what `source_file.read` raises.
    """
    texts = text_columns(stored)
    parts: Parts = list(read_each(source, where=where, texts=texts))
    many = len({path for path, _ in parts}) > 1
    for path, part in parts:
        place = f"{where}: {redact(path)}" if many else where
        refuse_twice(part.column_names, where=place)
        refuse_words(part, stored, times=times, where=place)
    if more := _unlike(parts, stored):
        parts = _as_texts(source, parts, {*texts, *more}, where=where)
    _refuse_misfit(parts, where=where)
    return together((part for _, part in parts), where=where)


def text_columns(schema: pa.Schema | None) -> list[str]:
    """List the columns of text."""
    return [one.name for one in schema or () if pa.types.is_string(one.type)]


def _unlike(parts: Parts, stored: pa.Schema | None) -> set[str]:
    """List the columns that are text in some files alone, or times with a time zone in some alone."""
    kinds: dict[str, set[pa.DataType]] = {}
    for _, part in parts:
        for column in part.schema:
            kinds.setdefault(column.name, set()).add(column.type)
    return {
        name
        for name, found in kinds.items()
        if _is_unlike(found - {pa.null()}) and _may_be_text(name, stored)
    }


def _is_unlike(kinds: set[pa.DataType]) -> bool:
    zones = {one.tz is None for one in kinds if pa.types.is_timestamp(one)}
    return len(kinds) > 1 and (any(map(pa.types.is_string, kinds)) or len(zones) > 1)


def _may_be_text(name: str, stored: pa.Schema | None) -> bool:
    """Tell whether text is of use: instants are read from text too, other types that are kept are not."""
    if stored is None or name not in stored.names:
        return True
    return bool(pa.types.is_timestamp(stored.field(name).type))


def _as_texts(source: FileSource, parts: Parts, texts: set[str], *, where: str) -> Parts:
    """Read the CSV files again that guessed otherwise; other formats say what their columns are."""

    def guessed(path: str, part: pa.Table) -> bool:
        is_csv = guess_format(path, source.format, where=where) in CSV_KINDS
        named = [one.type for one in part.schema if one.name in texts]
        return is_csv and not all(pa.types.is_string(one) for one in named)

    again = {path for path, part in parts if guessed(path, part)}
    kept = [(path, part) for path, part in parts if path not in again]
    reread = read_each(source, where=where, texts=texts, only=again)
    return sorted([*kept, *reread], key=lambda one: one[0])


def _refuse_misfit(parts: Parts, *, where: str) -> None:
    before: pa.Schema | None = None
    for path, part in parts:
        both = [one for one in (before, part.schema) if one is not None]
        try:
            before = pa.unify_schemas(both, promote_options="permissive")
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            message = f"{where}: {redact(path)} does not fit to the files before it: {error}. Mend that file."
            raise DataNotFitError(message) from error
