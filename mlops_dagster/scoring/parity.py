"""Whether several ways of asking one model give the same answers."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from mlops_dagster.scoring.example import alike
from mlops_dagster.stores.mlflow_home import be_quiet

Answers = Mapping[str, Sequence[Any]]
"""Columns of an answer, row by row."""


def answers_of(frame: pd.DataFrame) -> Answers:
    """Give a model's answer as plain values."""
    return {str(name): frame[name].tolist() for name in frame}


def mlflow_answers(folder: Path, rows: pd.DataFrame) -> Answers:
    """Ask a model's files as anybody with MLflow does."""
    be_quiet()
    import mlflow.pyfunc

    return answers_of(mlflow.pyfunc.load_model(str(folder)).predict(rows))


def first_difference(ways: Mapping[str, Answers], *, tolerance: float) -> str:
    """Name the first row and column where a way answers otherwise than the first one.

    Empty when none does. Numbers are alike within `tolerance` of their size, NaN and null are one.
    """
    (named, first), *others = ways.items()
    found = [
        difference
        for name, answers in others
        if (difference := _difference(named, first, name, answers, tolerance=tolerance))
    ]
    return min(found)[1] if found else ""


def _difference(
    one_name: str, one: Answers, other_name: str, other: Answers, *, tolerance: float
) -> tuple[int, str] | None:
    if list(one) != list(other):
        return 0, f"{one_name} gives the columns {list(one)}, {other_name} {list(other)}."
    counts = {len(values) for answers in (one, other) for values in answers.values()}
    if len(counts) > 1:
        return 0, f"{one_name} and {other_name} give different numbers of rows: {sorted(counts)}."
    for at, (ours, theirs) in enumerate(zip(_rows(one), _rows(other), strict=True)):
        for column, a, b in zip(one, ours, theirs, strict=True):
            if not alike(_number(a), _number(b), tolerance=tolerance):
                said = f"{one_name} says {a!r}, {other_name} {b!r}."
                return at, f"Row {at}, column {column!r}: {said}"
    return None


def _rows(answers: Answers) -> list[tuple[Any, ...]]:
    return list(zip(*answers.values(), strict=True))


def _number(value: Any) -> Any:
    """JSON has no NaN and writes null."""
    return math.nan if value is None else value
