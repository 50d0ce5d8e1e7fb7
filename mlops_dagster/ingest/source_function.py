"""Rows from a Python function."""

import importlib
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd
import pyarrow as pa

from mlops_dagster.errors import DataNotFitError, SpecError
from mlops_dagster.ingest.cursor import Since
from mlops_dagster.ingest.spec import FunctionSource


def read(source: FunctionSource, *, since: Since | None, where: str) -> Iterator[pa.Table]:
    """Call the function, with `since=` when it takes that, and read what it gives.

    Raises: SpecError when it cannot be imported; DataNotFitError when it gives no rows of a known kind.
    """
    function = resolve(source.path, where=where)
    asked = takes_since(source, where=where)
    given = function(since=since.value if since else None) if asked else function()
    yield from tables(given, source=source.path, where=where)


def takes_since(source: FunctionSource, *, where: str) -> bool:
    """Tell whether the function can be asked for what is new alone."""
    return "since" in inspect.signature(resolve(source.path, where=where)).parameters


def state(source: FunctionSource, *, where: str) -> str | None:
    """Call the declared state function; without one nothing can be told."""
    return str(resolve(source.state, where=where)()) if source.state else None


def resolve(path: str, *, where: str) -> Callable[..., Any]:
    """Import `package.module:function`. Raises: SpecError naming it."""
    module_name, _, name = path.partition(":")
    try:
        found: Any = importlib.import_module(module_name)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        message = (
            f"{where}: {path} cannot be imported: {error}. Check the path and the Python path."
        )
        raise SpecError(message) from error
    if not callable(found):
        message = f"{where}: {path} is {type(found).__name__}, not a function."
        raise SpecError(message)
    function: Callable[..., Any] = found
    return function


def tables(given: object, *, source: str, where: str) -> Iterator[pa.Table]:
    """Read a DataFrame, an Arrow table or batch, or an iterator of them as Arrow tables."""
    if isinstance(given, Iterator | list | tuple):
        for part in given:
            yield _table(part, source=source, where=where)
    else:
        yield _table(given, source=source, where=where)


def _table(given: object, *, source: str, where: str) -> pa.Table:
    if isinstance(given, pa.Table):
        return given.replace_schema_metadata(None)
    if isinstance(given, pa.RecordBatch):
        return pa.Table.from_batches([given]).replace_schema_metadata(None)
    if not isinstance(given, pd.DataFrame):
        message = (
            f"{where}: {source} gave {type(given).__name__}. "
            "Give a pandas.DataFrame, a pyarrow.Table, or an iterator of them."
        )
        raise DataNotFitError(message)
    try:
        table = pa.Table.from_pandas(given, preserve_index=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        message = f"{where}: {source} gave a column of mixed kinds: {error}. Give each one kind."
        raise DataNotFitError(message) from error
    return table.replace_schema_metadata(None)
