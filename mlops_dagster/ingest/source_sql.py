"""Rows from a database, through SQLAlchemy, in batches of bounded size."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from mlops_dagster.errors import (
    DataNotFitError,
    MissingExtraError,
    SpecError,
    StoreError,
    first_line,
    redact,
    redact_in,
)
from mlops_dagster.ingest.columns import INSTANT
from mlops_dagster.ingest.cursor import Since, as_written
from mlops_dagster.ingest.environment import environment
from mlops_dagster.ingest.spec import SqlSource


def read(
    source: SqlSource,
    *,
    since: Since | None,
    where: str,
    variables: Mapping[str, str] | None = None,
) -> Iterator[pa.Table]:
    """Read the rows from `since` on, and those without a cursor, in the cursor's order.

    Raises: StoreError when the database does not answer; DataNotFitError when it refuses the query.
    """
    with _connected(source, where=where, variables=variables) as connection:
        query = _query(connection, source, since)
        streamed = connection.execution_options(stream_results=True, yield_per=source.batch_rows)
        result = streamed.execute(query)
        names = list(result.keys())
        empty = True
        for part in result.partitions():
            empty = False
            yield _table(names, part, where=where)
        if empty:
            yield pa.table({name: pa.nulls(0) for name in names})


def state(
    source: SqlSource,
    *,
    cursor: str | None,
    where: str,
    target: str | None = None,
    variables: Mapping[str, str] | None = None,
) -> str | None:
    """Ask for the number of rows, the largest cursor, and the number of known targets.

    A row that is changed in place, and whose target was known before, is not noticed, unless the cursor
    is a time of change. A read takes such a row in all the same.
    """
    told: list[Any] = [sa.func.count()]
    told += [sa.func.max(sa.column(cursor))] if cursor else []
    told += [sa.func.count(sa.column(target))] if target else []
    with _connected(source, where=where, variables=variables) as connection:
        row = connection.execute(sa.select(*told).select_from(_rows(source))).one()
    return "/".join(str(one) for one in row)


def address(source: SqlSource, *, where: str, variables: Mapping[str, str] | None = None) -> str:
    """Name the database for people: without user, password and what its query says."""
    return _shown(_url(source, where=where, variables=variables))


def _url(source: SqlSource, *, where: str, variables: Mapping[str, str] | None) -> sa.URL:
    text = (
        source.url.get_secret_value()
        if source.url
        else environment(str(source.url_variable), where=where, variables=variables)
    )
    try:
        return sa.make_url(text)
    except ArgumentError:
        name = source.url_variable or "url"
        message = (
            f"{where}: {name} holds no SQLAlchemy address, such as postgresql+psycopg://host/db."
        )
        # Without its cause: that one quotes the whole address, password and all.
        raise SpecError(message) from None


@contextmanager
def _connected(
    source: SqlSource, *, where: str, variables: Mapping[str, str] | None
) -> Iterator[sa.Connection]:
    url = _url(source, where=where, variables=variables)
    _refuse_missing_file(url, where=where)
    engine = _engine(url, where=where)
    shown = _shown(url)
    try:
        connection = engine.connect()
    except SQLAlchemyError as error:
        message = f"{where}: database"
        raise StoreError.unreachable(message, shown, _masked(error, url)) from None
    try:
        with connection:
            yield connection
    except SQLAlchemyError as error:
        message = (
            f"{where}: {shown} refused the query: {first_line(_masked(error, url))}. "
            f"Check {source.table or 'the query'}, its columns and the cursor."
        )
        raise DataNotFitError(message) from None
    finally:
        engine.dispose()


def _refuse_missing_file(url: sa.URL, *, where: str) -> None:
    file = url.database or ""
    # SQLite would make an empty database of a path that does not exist.
    in_file = url.get_backend_name() == "sqlite" and file not in {"", ":memory:"}
    if in_file and not file.startswith("file:") and not Path(file).exists():
        message = f"{where}: there is no SQLite file at {Path(file).absolute()}. Check the path."
        raise StoreError(message)


def _engine(url: sa.URL, *, where: str) -> sa.Engine:
    try:
        return sa.create_engine(url)
    except ArgumentError as error:
        message = f"{where}: {first_line(_masked(error, url))} (address {_shown(url)})."
        raise SpecError(message) from None
    except ImportError as error:
        kind = url.get_backend_name()
        message = f"{where}: reading {kind}"
        raise MissingExtraError.needed(message, _extra(kind)) from error


def _extra(kind: str) -> str:
    return "postgres" if kind == "postgresql" else kind


def _shown(url: sa.URL) -> str:
    return redact(url.render_as_string(hide_password=False))


def _masked(error: SQLAlchemyError, url: sa.URL) -> Exception:
    text = str(getattr(error, "orig", None) or error)
    said = redact_in(text, url.render_as_string(hide_password=False))
    return RuntimeError(said.replace(str(url.password), "***") if url.password else said)


def _rows(source: SqlSource) -> Any:
    if source.query:
        return sa.text(f"({source.query.strip().rstrip(';')}) source_rows")
    *schema, name = str(source.table).rsplit(".", 1)
    return sa.table(name, schema=schema[0] if schema else None)


def _query(connection: sa.Connection, source: SqlSource, since: Since | None) -> Any:
    columns: list[Any] = [sa.column(name) for name in source.columns] or [sa.text("*")]
    query = sa.select(*columns).select_from(_rows(source))
    if since is None:
        return query
    column: sa.ColumnClause[Any] = sa.column(since.column)
    if since.value is not None:
        like = connection.execute(
            sa.select(column).select_from(_rows(source)).where(column.is_not(None)).limit(1)
        ).scalar()
        value = as_written(since.value, like)
        query = query.where(sa.or_(column >= value, column.is_(None)))
    return query.order_by(column)


def _table(names: Sequence[str], rows: Sequence[Any], *, where: str) -> pa.Table:
    if len(set(names)) < len(names):
        message = f"{where}: the query gives a column twice: {list(names)}. Name each once."
        raise DataNotFitError(message)
    columns = zip(*rows, strict=True)
    return pa.table(
        {
            name: _column(name, values, where=where)
            for name, values in zip(names, columns, strict=True)
        }
    )


def _column(name: str, values: Sequence[Any], *, where: str) -> pa.Array:
    first = next((one for one in values if one is not None), None)
    try:
        if isinstance(first, dict | list):
            return pa.array(
                [None if one is None else json.dumps(one) for one in values], pa.string()
            )
        if isinstance(first, UUID | time):
            return pa.array([None if one is None else str(one) for one in values], pa.string())
        if isinstance(first, Decimal):
            _refuse_inexact(name, values, where=where)
            return pa.array([None if one is None else float(one) for one in values], pa.float64())
        if isinstance(first, datetime):
            return pa.array(values, INSTANT if first.tzinfo else pa.timestamp("us"))
        return pa.array(values, pa.date32() if isinstance(first, date) else None)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        message = (
            f"{where}: column {name!r} holds values of mixed kinds: {error}. Cast it in a query."
        )
        raise DataNotFitError(message) from error


def _refuse_inexact(name: str, values: Sequence[Any], *, where: str) -> None:
    """Refuse whole numbers that a float would round: two keys would become one."""
    for one in values:
        whole = one is not None and one == one.to_integral_value() and abs(one) > 2**53
        if whole and int(float(one)) != one:
            message = (
                f"{where}: column {name!r} holds {one}, which a floating-point number would round. "
                "Cast it to BIGINT or to text in a query."
            )
            raise DataNotFitError(message)
