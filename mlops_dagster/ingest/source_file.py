"""Rows from files: one path, a folder, a glob, or any fsspec address."""

import hashlib
import zlib
from collections.abc import Collection, Iterator
from typing import Any, BinaryIO

import fsspec
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.json as pajson
import pyarrow.parquet as pq

from mlops_dagster.errors import DataNotFitError, MissingExtraError, StoreError, redact, redact_in
from mlops_dagster.ingest.spec import FORMATS, CsvOptions, FileSource, guess_format

_BATCH_ROWS = 131_072
_HEADER_BYTES = 1024 * 1024
_HIDDEN = (".", "_")
CSV_KINDS = frozenset({"csv", "tsv"})
_USUAL = {"csv": ",", "tsv": "\t"}
_DELIMITERS = (";", "\t", "|", ",")
_BLOCK = 16 * 1024 * 1024
"""Bytes that are parsed at a time: no row may be longer."""
_TOLD = ("mtime", "LastModified", "last_modified", "updated", "ETag", "etag", "created")


def read(source: FileSource, *, where: str, texts: Collection[str] = ()) -> Iterator[pa.Table]:
    """Read every file, in the order of their names.

    `texts` are columns that hold text, whatever the values of a CSV file look like.
    Raises: DataNotFitError when there is no file or one cannot be read as its format; SpecError when
    the format cannot be told; StoreError when the place does not answer.
    """
    for _, part in read_each(source, where=where, texts=texts):
        yield part


def read_each(
    source: FileSource,
    *,
    where: str,
    texts: Collection[str],
    only: Collection[str] | None = None,
) -> Iterator[tuple[str, pa.Table]]:
    """Read as `read` does, with the path of each part's file; `only` these files."""
    system = _open(source, where=where)
    found = _files(system, source, where=where)
    for path in (one for one in found if only is None or one in only):
        for part in _read_one(system, path, source=source, texts=texts, where=where):
            yield path, part


def state(source: FileSource, *, where: str) -> str | None:
    """Fingerprint names, sizes and times of change; no file is opened."""
    system = _open(source, where=where)
    told = hashlib.sha256()
    for path in _files(system, source, where=where):
        info = system.info(path)
        changed = next((str(info[name]) for name in _TOLD if info.get(name)), "")
        told.update(f"{path}\0{info.get('size')}\0{changed}\n".encode())
    return told.hexdigest()


def _open(source: FileSource, *, where: str) -> Any:
    try:
        system, _ = fsspec.core.url_to_fs(source.path, **source.storage)
    except ImportError as error:
        message = f"{where}: reading {redact(source.path)}"
        raise MissingExtraError.needed(message, "s3") from error
    except ValueError as error:
        message = f"{where}: files"
        raise StoreError.unreachable(message, source.path, error) from _cause(error, source)
    return system


def _cause(error: Exception, source: FileSource) -> Exception | None:
    """Keep what was raised as the cause, unless it may quote an address with a secret."""
    return error if redact(source.path) == source.path else None


def _files(system: Any, source: FileSource, *, where: str) -> list[str]:
    try:
        found = _matching(system, source)
    except OSError as error:
        message = f"{where}: files"
        raise StoreError.unreachable(message, source.path, error) from _cause(error, source)
    if not found:
        message = (
            f"{where}: there is no file at {redact(source.path)!r} (looked at {redact(_place(system, source))}). "
            "Check the path; a relative one starts at the working directory."
        )
        raise DataNotFitError(message)
    for path in found:
        guess_format(path, source.format, where=where)
    return found


def _place(system: Any, source: FileSource) -> str:
    return str(system._strip_protocol(source.path))  # noqa: SLF001 fsspec has no public name for it


def _matching(system: Any, source: FileSource) -> list[str]:
    place = _place(system, source)
    if any(mark in place for mark in "*?["):
        hidden = place.rsplit("/", 1)[-1].startswith(_HIDDEN)
        found = [path for path in system.glob(place) if hidden or not _is_hidden(path)]
        return sorted(path for path in found if system.isfile(path))
    if system.isdir(place):
        return sorted(path for path in system.find(place) if _is_rows(path, source))
    return [place] if system.exists(place) else []


def _is_rows(path: str, source: FileSource) -> bool:
    name = path.rsplit("/", 1)[-1]
    known = source.format is not None or any(suffix in name.lower() for suffix in FORMATS)
    return known and not _is_hidden(path)


def _is_hidden(path: str) -> bool:
    return path.rsplit("/", 1)[-1].startswith(_HIDDEN)


def _read_one(
    system: Any, path: str, *, source: FileSource, texts: Collection[str], where: str
) -> Iterator[pa.Table]:
    kind = guess_format(path, source.format, where=where)
    try:
        with system.open(path, "rb", compression="infer") as file:
            # Not every packed stream can be read from its start again, as is needed for CSV files.
            if kind == "jsonl" and not system.size(path):
                return
            if kind in CSV_KINDS:
                if _is_blank(file):
                    return
                _refuse_other_delimiter(file, kind, source.options, where=f"{where}: {path}")
            yield from _parse(file, kind, source.options, texts=texts, where=f"{where}: {path}")
    except (pa.ArrowInvalid, UnicodeDecodeError, EOFError, zlib.error) as error:
        message = (
            f"{where}: {redact(path)} cannot be read as {kind}: {redact_in(str(error), path)}. "
            "Mend the file, or declare its format and options."
        )
        raise DataNotFitError(message) from _cause(error, source)
    except OSError as error:
        message = f"{where}: file"
        raise StoreError.unreachable(message, path, error) from _cause(error, source)


def _is_blank(file: BinaryIO) -> bool:
    """Tell whether a file has not even a header, as one that was made and not written yet."""
    blank = not file.read(_HEADER_BYTES).strip()
    file.seek(0)
    return blank


def _refuse_other_delimiter(file: BinaryIO, kind: str, options: CsvOptions, *, where: str) -> None:
    """Refuse a file whose first line is one name by the delimiter, and several by another."""
    first = file.readline(_HEADER_BYTES).decode(options.encoding, errors="replace").strip()
    file.seek(0)
    used = options.delimiter or _USUAL[kind]
    others = [one for one in _DELIMITERS if one != used and one in first]
    if used not in first and others:
        likely = max(others, key=first.count)
        message = (
            f"{where} has one column, named {first[:80]!r}: the file looks separated by {likely!r}. "
            f"Declare ingest.source.options.delimiter: {likely!r}."
        )
        raise DataNotFitError(message)


def _parse(
    file: BinaryIO, kind: str, options: CsvOptions, *, texts: Collection[str], where: str
) -> Iterator[pa.Table]:
    if kind == "parquet":
        for batch in pq.ParquetFile(file).iter_batches(batch_size=_BATCH_ROWS):
            yield pa.Table.from_batches([batch])
    elif kind == "jsonl":
        yield pajson.read_json(file, read_options=pajson.ReadOptions(block_size=_BLOCK))
    else:
        delimiter = options.delimiter or _USUAL[kind]
        yield _read_csv(file, options, delimiter=delimiter, texts=texts, where=where)


def _read_csv(
    file: BinaryIO, options: CsvOptions, *, delimiter: str, texts: Collection[str], where: str
) -> pa.Table:
    convert = pacsv.ConvertOptions(
        strings_can_be_null=True,
        decimal_point=options.decimal,
        column_types=dict.fromkeys(texts, pa.string()),
    )
    if options.null_values:
        convert.null_values = list(options.null_values)
    # Not the streaming reader: that one fixes a column's type by the first block alone.
    rows = pacsv.read_csv(
        file,
        read_options=pacsv.ReadOptions(encoding=options.encoding, block_size=_BLOCK),
        parse_options=pacsv.ParseOptions(
            delimiter=delimiter, quote_char=options.quote, newlines_in_values=True
        ),
        convert_options=convert,
    )
    # Arrow takes a column of texts that are no UTF-8 as bytes.
    if wrong := [one.name for one in rows.schema if pa.types.is_binary(one.type)]:
        message = (
            f"{where}: the columns {wrong} hold no text of the encoding {options.encoding!r}. "
            "Declare ingest.source.options.encoding, such as 'latin-1'."
        )
        raise DataNotFitError(message)
    return rows
