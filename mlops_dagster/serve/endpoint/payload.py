"""Bodies of requests, in MLflow's scoring protocol and in ours, as questions to a model."""

import csv
import io
import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from mlops_dagster.errors import DataNotFitError, nearest
from mlops_dagster.scoring.questions import Question

# What no double holds has an exponent of three digits, or as many digits itself.
_MAY_BE_HUGE = re.compile(rb"[eE]\+?\d{3}|\d{300}")
FORMATS = ("dataframe_split", "dataframe_records", "instances", "inputs")


def read_json(body: bytes) -> Any:
    """Parse a body. Raises: DataNotFitError saying where it is no JSON."""
    try:
        parse_float = _double if _MAY_BE_HUGE.search(body) else None
        return json.loads(body, parse_constant=_refuse_constant, parse_float=parse_float)
    except (ValueError, RecursionError) as error:
        message = f"The body is no JSON: {type(error).__name__}: {str(error)[:200]}."
        raise DataNotFitError(message) from error


def invocation(body: bytes, content_type: str) -> Question:
    """Read a body of MLflow's `/invocations`. Raises: DataNotFitError naming what is wrong."""
    if content_type == "text/csv":
        return _from_csv(body)
    given = read_json(body)
    if not isinstance(given, dict):
        message = f"The body is {type(given).__name__}; needed is an object with one of {', '.join(FORMATS)}."
        raise DataNotFitError(message)
    found = [name for name in FORMATS if name in given]
    if len(found) != 1:
        hint = "" if found else f" {nearest(str(next(iter(given), '')), FORMATS)}"
        message = f"The body has {found or 'none'} of {', '.join(FORMATS)}; needed is one.{hint}"
        raise DataNotFitError(message)
    return _READERS[found[0]](given[found[0]])


def prediction(body: bytes) -> Question:
    """Read a body of `/predict`: `{"rows": [{column: value}]}`, a list of rows, or one row."""
    given = read_json(body)
    if isinstance(given, dict):
        given = given["rows"] if set(given) == {"rows"} else [given]
    if not isinstance(given, list) or not all(isinstance(row, dict) for row in given):
        message = 'The body must be {"rows": [{"column": value, ...}, ...]}, or one such row.'
        raise DataNotFitError(message)
    return Question(rows=given, key_wanted=True)


def _split(given: Any) -> Question:
    if not isinstance(given, dict) or not {"columns", "data"} <= given.keys():
        message = "`dataframe_split` must be an object with `columns` and `data`."
        raise DataNotFitError(message)
    columns, data = given["columns"], given["data"]
    named = isinstance(columns, list) and all(isinstance(one, str) for one in columns)
    if not named or len(set(columns)) != len(columns) or not isinstance(data, list):
        message = "`columns` must be a list of different names, and `data` a list of rows."
        raise DataNotFitError(message)
    return Question(rows=data, columns=columns)


def _records(given: Any) -> Question:
    if not isinstance(given, list) or not all(isinstance(row, dict) for row in given):
        message = "`dataframe_records` must be a list of objects."
        raise DataNotFitError(message)
    return Question(rows=given)


def _instances(given: Any) -> Question:
    if not isinstance(given, list):
        message = "`instances` must be a list of rows."
        raise DataNotFitError(message)
    return Question(rows=given)


def _inputs(given: Any) -> Question:
    if not isinstance(given, Mapping):
        return _instances(given)
    columns = {name: value if isinstance(value, list) else [value] for name, value in given.items()}
    lengths = {name: len(value) for name, value in columns.items()}
    if len(set(lengths.values())) > 1:
        message = f"`inputs` has columns of different lengths: {lengths}."
        raise DataNotFitError(message)
    rows = [list(row) for row in zip(*columns.values(), strict=True)]
    return Question(rows=rows, columns=list(columns))


_READERS: Mapping[str, Callable[[Any], Question]] = {
    "dataframe_split": _split,
    "dataframe_records": _records,
    "instances": _instances,
    "inputs": _inputs,
}


def _from_csv(body: bytes) -> Question:
    try:
        lines = list(csv.reader(io.StringIO(body.decode("utf-8-sig")), strict=True))
    except (ValueError, csv.Error) as error:
        message = f"The body is no CSV in UTF-8: {error}."
        raise DataNotFitError(message) from error
    lines = [line for line in lines if line]
    if not lines or len(set(lines[0])) != len(lines[0]):
        message = "The CSV needs a first line of different column names."
        raise DataNotFitError(message)
    # Numbers, times and booleans are read from text by the column's kind; an empty field is null.
    rows = [[text or None for text in line] for line in lines[1:]]
    return Question(rows=rows, columns=lines[0])


def _double(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        message = f"{text[:40]} is no double; write text or null"
        raise ValueError(message)
    return number


def _refuse_constant(name: str) -> Any:
    message = f"{name} is no JSON; write null"
    raise ValueError(message)
