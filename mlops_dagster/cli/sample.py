"""Reading enough of a table to guess what it is, with the readers and the types of ingest."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_dagster.errors import (
    DataNotFitError,
    MissingExtraError,
    SpecError,
    StoreError,
    nearest,
    redact,
)

if TYPE_CHECKING:
    import pyarrow as pa
    from sqlalchemy import Engine

ROWS = 200_000
"""How many rows are looked at, at most."""

TAB = "\t"

_DATABASES = {"sqlite", "postgresql", "postgres", "mysql", "mariadb", "mssql", "oracle", "duckdb"}
_WHERE, _TABLE = "--data", "--table"
_DECLARED_OPTION = re.compile(r"Declare ingest\.source\.options\.(\w+)(?:: |, such as )('.*?')\.")
_PASSWORD = re.compile(r"://[^/@\s]*:[^/@\s]+@")


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a table is: files, or a database's table. `text` may hold a password: never show it."""

    text: str
    table: str | None = None
    url_variable: str | None = None
    delimiter: str = ""
    encoding: str = ""
    decimal: str = ""

    @property
    def options(self) -> dict[str, str]:
        """How a CSV file is written, where that was said."""
        told = {
            "delimiter": self.delimiter,
            "encoding": self.encoding,
            "decimal": self.decimal,
        }
        return {name: value for name, value in told.items() if value}

    @property
    def is_sql(self) -> bool:
        """Tell a database's address from a file's."""
        scheme, separator, _ = self.text.partition("://")
        return bool(separator) and scheme.split("+")[0].lower() in _DATABASES

    @property
    def has_password(self) -> bool:
        """Tell whether the address itself holds a password."""
        return bool(_PASSWORD.search(self.text)) or "password=" in self.text.lower()

    @property
    def shown(self) -> str:
        """The address for people."""
        if not self.is_sql:
            return redact(self.text)
        place = redact(self.text) if not self.url_variable else self.url_variable
        return f"{place} table {self.table}" if self.table else place


def read_sample(address: Address) -> "pa.Table":
    """Read the first rows of a table, with the types that ingest gives them.

    Raises: DataNotFitError, StoreError or SpecError saying why the table cannot be read.
    """
    from mlops_dagster.ingest.columns import fit, together

    try:
        rows = together(_first(_parts(address)), where=_WHERE).slice(0, ROWS)
    except UnicodeDecodeError as error:
        raise _not_text(address, "its first line") from error
    except DataNotFitError as error:
        said = _DECLARED_OPTION.sub(_by_option, str(error))
        raise DataNotFitError(said) from error
    if nameless := [at for at, name in enumerate(rows.column_names, 1) if not name.strip()]:
        message = (
            f"--data: column number {nameless[0]} of {address.shown} has no name. Give it one."
        )
        raise DataNotFitError(message)
    _refuse_decimal_commas(rows, address)
    return fit(rows, stored=None, times=(), untyped={}, where=_WHERE).rows


def _refuse_decimal_commas(rows: "pa.Table", address: Address) -> None:
    """Refuse numbers that would be taken for texts; only a CSV file's reader can be told."""
    import pyarrow as pa

    from mlops_dagster.cli.column_kinds import has_decimal_comma

    if address.is_sql or address.decimal:
        return
    for name, column in zip(rows.column_names, rows.columns, strict=True):
        if pa.types.is_string(column.type) and has_decimal_comma(column.to_pandas()):
            first = next(one for one in column.to_pylist() if one and "," in one)
            message = (
                f"--data: column {name!r} holds numbers with a decimal comma, such as {first!r}. "
                "If it is a CSV file, say so: --decimal ','"
            )
            raise DataNotFitError(message)


def _by_option(declared: "re.Match[str]") -> str:
    """Write a field of the declaration as the option of `init` that fills it."""
    return f"Say so: --{declared[1]} {'tab' if declared[2] == repr(TAB) else declared[2]}"


def _not_text(address: Address, place: str) -> DataNotFitError:
    message = (
        f"--data: {address.shown} is not {address.encoding or 'UTF-8'} text: {place} cannot be read. "
        "Say how a CSV file is written, such as --encoding latin-1 (or cp1252, utf-16), or convert it."
    )
    return DataNotFitError(message)


def find_table(address: Address) -> str:
    """Name the table to read: the one that is given, else the only one of the database.

    Raises: SpecError listing the tables when there is not exactly one, or none of that name.
    """
    from sqlalchemy import inspect
    from sqlalchemy.exc import SQLAlchemyError

    engine = _open(address)
    try:
        known = inspect(engine).get_table_names() + inspect(engine).get_view_names()
    except SQLAlchemyError as error:
        # Without its cause: that one may quote the whole address, password and all.
        said = RuntimeError(type(getattr(error, "orig", error)).__name__)
        raise StoreError.unreachable(_WHERE, address.shown, said) from None
    finally:
        engine.dispose()
    if address.table is None and len(known) == 1:
        return known[0]
    if address.table is None:
        message = f"--data: {address.shown} has {len(known)} tables. Say which with --table: {sorted(known)}"
        raise SpecError(message)
    if "." not in address.table and address.table not in known:
        raise SpecError.unknown(_TABLE, address.table, known)
    return address.table


def _open(address: Address) -> "Engine":
    from sqlalchemy import create_engine, make_url
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError

    try:
        url = make_url(address.text)
        # SQLite would make an empty database of a path that does not exist.
        if url.get_backend_name() == "sqlite" and url.database and "://" not in url.database:
            _refuse_absent(Path(url.database))
        return create_engine(url)
    except (ArgumentError, NoSuchModuleError, ValueError):
        message = f"--data: {address.shown} is no SQLAlchemy address such as postgresql://host/db."
        raise SpecError(message) from None
    except ModuleNotFoundError as error:
        message = f"--data: {address.shown} needs its driver: pip install {error.name}"
        raise MissingExtraError(message) from error


def _parts(address: Address) -> Iterator["pa.Table"]:
    from mlops_dagster.ingest import source_file, source_sql
    from mlops_dagster.ingest.spec import CsvOptions, FileSource, SqlSource

    if address.is_sql:
        # The address goes by a name, so that no message can show its password.
        name = address.url_variable or "DATABASE_URL"
        source = SqlSource(url_variable=name, table=address.table)
        return source_sql.read(source, since=None, where=_WHERE, variables={name: address.text})
    if "://" not in address.text and not any(mark in address.text for mark in "*?["):
        _refuse_absent(Path(address.text))
    options = CsvOptions(**address.options)
    return source_file.read(FileSource(path=address.text, options=options), where=_WHERE)


def _refuse_absent(path: Path) -> None:
    if path.exists():
        return
    folder = path.parent
    names = [one.name for one in folder.iterdir()] if folder.is_dir() else []
    hint = nearest(path.name, names) if names else f"The folder {folder} is not there or empty."
    message = f"--data: there is no file {path}. {hint}"
    raise DataNotFitError(message)


def _first(parts: Iterator["pa.Table"]) -> Iterator["pa.Table"]:
    seen = 0
    for part in parts:
        yield part
        seen += part.num_rows
        if seen >= ROWS:
            return
