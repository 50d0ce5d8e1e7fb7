"""Rows that a caller asks about: checked against the model's inputs, column by column."""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from mlops_dagster.errors import DataNotFitError, StoreError, first_line
from mlops_dagster.scoring.loader import ScoringModel
from mlops_dagster.stores.mlflow_home import be_quiet

Kind = Literal["number", "time", "boolean", "text"]
Row = Mapping[str, Any] | Sequence[Any]
WORDS: Mapping[Kind, str] = {
    "number": "a number",
    "time": "a time in ISO 8601",
    "boolean": "true or false",
    "text": "text",
}
_SHOWN = 60
_TRUTHS = {"true": True, "false": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Rows of one caller: mappings by column, or sequences in the order of `columns`.

    A column that the model's signature calls optional may be absent, as in MLflow, and is null then. With
    `key_wanted` the key may not.
    """

    rows: Sequence[Row]
    columns: Sequence[str] | None = None
    key_wanted: bool = False


@dataclass(frozen=True, slots=True)
class InputSchema:
    """The kind of each column that a model is given, in its order."""

    kinds: Mapping[str, Kind]
    optional: frozenset[str] = frozenset()

    def needed(self, *, key: Collection[str] = ()) -> list[str]:
        """Name the columns that a row must have: all that are not optional, and `key`."""
        return [name for name in self.kinds if name not in self.optional or name in key]

    def values(self, question: Question, *, key: Collection[str] = ()) -> list[list[Any]]:
        """Order each row's values as the model's inputs, absent ones null.

        `key` is what such a question wants. Rows without names may lack optional columns at the end.
        Raises: DataNotFitError naming the row and the column that does not fit.
        """
        names, needed = list(self.kinds), self.needed(key=key if question.key_wanted else ())
        if question.columns is None and question.rows and not isinstance(question.rows[0], Mapping):
            return [self._positional(at, row) for at, row in enumerate(question.rows)]
        rows = question.rows
        if question.columns is not None:
            rows = [_named(at, row, question.columns) for at, row in enumerate(rows)]
        ordered = []
        for at, row in enumerate(rows):
            if not isinstance(row, Mapping):
                message = f"Row {at} is {_told(row)}; needed is an object of columns."
                raise DataNotFitError(message)
            known = any(name in row for name in names)
            self._refuse_absent(at, row, needed=needed if known else names)
            ordered.append([row.get(name) for name in names])
        return ordered

    def frame(self, values: Sequence[Sequence[Any]]) -> pd.DataFrame:
        """Make the rows that a model is given, each column of its kind.

        Raises: DataNotFitError naming the first row and column that does not fit.
        """
        columns = zip(*values, strict=True) if values else ([] for _ in self.kinds)
        made = {}
        for (name, kind), column in zip(self.kinds.items(), columns, strict=True):
            try:
                made[name] = _CASTS[kind](column)
            except (ValueError, TypeError, OverflowError) as error:
                raise DataNotFitError(self._misfit(name, kind, column, error)) from error
        return pd.DataFrame(made)

    def _positional(self, at: int, row: Any) -> list[Any]:
        if not isinstance(row, list):
            message = f"Row {at} is {_told(row)}; needed is a list of values."
            raise DataNotFitError(message)
        names = list(self.kinds)
        left_out = names[len(row) :]
        if len(row) > len(names) or not self.optional.issuperset(left_out):
            message = (
                f"Row {at} has {len(row)} values without names; needed are {len(names)}: "
                f"{', '.join(names)}."
            )
            raise DataNotFitError(message)
        return [*row, *(None for _ in left_out)]

    def _refuse_absent(self, at: int, row: Mapping[str, Any], *, needed: Sequence[str]) -> None:
        absent = [name for name in needed if name not in row]
        if not absent:
            return
        name = absent[0]
        others = [one for one in row if one not in self.kinds]
        hint = (
            f" Given, and no column of the model: {', '.join(map(repr, others[:6]))}."
            if others
            else ""
        )
        rest = f" and {len(absent) - 6} more" if len(absent) > 6 else ""
        more = f" So are {', '.join(absent[1:6])}{rest}." if len(absent) > 1 else ""
        message = (
            f"Row {at}: column {name!r} is missing; needed is {WORDS[self.kinds[name]]}, or null where "
            f"it is unknown.{more}{hint}"
        )
        raise DataNotFitError(message)

    @staticmethod
    def _misfit(name: str, kind: Kind, column: Iterable[Any], error: Exception) -> str:
        for at, value in enumerate(column):
            try:
                _CASTS[kind]((value,))
            except (ValueError, TypeError, OverflowError):
                return (
                    f"Row {at}: column {name!r} is {_told(value)}; needed is {WORDS[kind]} or null."
                )
        return f"Column {name!r} does not fit: needed is {WORDS[kind]} or null. {error}"


def needed_of(folder: Path) -> list[str]:
    """Name the columns that each row must have, from a model's signature; nothing is unpickled.

    Raises: StoreError when the folder holds no model of MLflow, or one without a signature.
    """
    be_quiet()
    from mlflow.exceptions import MlflowException
    from mlflow.models import Model

    try:
        signature = Model.load(str(folder)).signature
    except (MlflowException, OSError) as error:
        message = f"{folder} holds no model that can be read: {first_line(error)}"
        raise StoreError(message) from error
    if signature is None or signature.inputs is None:
        message = f"The model at {folder} has no signature. Register one that has."
        raise StoreError(message)
    return [one.name for one in signature.inputs if one.required]


def schema_of(model: ScoringModel) -> InputSchema:
    """Read from a loaded model what kind each of its inputs is."""
    signature = model.loaded.metadata.signature
    declared = {one.name: str(one.type) for one in signature.inputs} if signature else {}
    booleans = {name for name, kind in declared.items() if kind == "DataType.boolean"}

    def kind(name: str) -> Kind:
        if name in model.artifact.numbers:
            return "number"
        if name in model.artifact.times:
            return "time"
        return "boolean" if name in booleans else "text"

    # MLflow's own name for one that may be absent; a model without a signature needs none.
    needed = {one.name for one in signature.inputs if one.required} if signature else set()
    return InputSchema(
        {name: kind(name) for name in model.inputs},
        optional=frozenset(name for name in model.inputs if name not in needed),
    )


def _numbers(values: Sequence[Any]) -> np.ndarray:
    return np.array([_plain_number(value) for value in values], dtype="float64")


def _plain_number(value: Any) -> float:
    if value is None:
        return math.nan
    if isinstance(value, str) and value.lower() in _TRUTHS:
        return float(_TRUTHS[value.lower()])  # as true and false are, which CSV writes so
    number = float(value)
    if math.isinf(number):
        message = "not finite"
        raise ValueError(message)
    return number


def _times(values: Sequence[Any]) -> pd.DatetimeIndex:
    for value in values:
        if not isinstance(value, str | datetime) and value is not None:
            message = "no text"
            raise TypeError(message)
    made = pd.to_datetime(np.array(values, dtype=object), utc=True, format="ISO8601")
    return made.as_unit("us")


def _booleans(values: Sequence[Any]) -> pd.Series:
    made = [_plain_boolean(value) for value in values]
    return pd.Series(made, dtype=object if None in made else bool)


def _plain_boolean(value: Any) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in _TRUTHS:
        return _TRUTHS[value.lower()]
    message = "neither true nor false"
    raise TypeError(message)


def _texts(values: Sequence[Any]) -> pd.Series:
    for value in values:
        if value is not None and not isinstance(value, str):
            message = "no text"
            raise TypeError(message)
    return pd.Series(values, dtype=object)


_CASTS = {"number": _numbers, "time": _times, "boolean": _booleans, "text": _texts}


def _named(at: int, row: Any, columns: Sequence[str]) -> Mapping[str, Any]:
    if not isinstance(row, list) or len(row) != len(columns):
        message = f"Row {at} does not have the {len(columns)} values that `columns` names."
        raise DataNotFitError(message)
    return dict(zip(columns, row, strict=True))


def _told(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list | tuple):
        return "a list"
    text = repr(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
