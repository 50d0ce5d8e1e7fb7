"""The first expectations of a new project: what the table itself shows."""

import json
import math
from collections.abc import Callable, Iterator, Mapping

import pandas as pd
from pandas.api import types

from mlops_dagster.cli.column_kinds import is_date, is_text
from mlops_dagster.cli.guesses import Guesses

MOST_LABELS = 20
MOST_RANGES = 30
SLACK = 0.5


def suite_lines(rows: pd.DataFrame, guesses: Guesses, *, target: str) -> Iterator[str]:
    """Write the expectations, one YAML line each."""
    # A row without its key is refused before any suite is asked.
    if name := guesses.event_time:
        yield _line("expect_column_values_to_not_be_null", {"column": name}, severity="critical")
    if guesses.task.is_classification:
        yield from _members(rows, target, severity="critical")
    for name in guesses.inputs:
        if is_text(rows[name]) and not is_date(rows[name]):
            yield from _members(rows, name, severity="warning")
    numbers = [name for name in guesses.inputs if _has_range(rows[name])]
    for name in numbers[:MOST_RANGES]:
        low, high = around(float(rows[name].min()), float(rows[name].max()))
        arguments = {"column": name, "min_value": low, "max_value": high}
        yield _line("expect_column_values_to_be_between", arguments, severity="warning")


def around(low: float, high: float) -> tuple[float, float]:
    """Widen a range by half its width; what was never negative stays so."""
    slack = (high - low) * SLACK
    below = low - slack if low < 0 else max(0.0, low - slack)
    return _outward(below, math.floor), _outward(high + slack, math.ceil)


def _outward(value: float, rounding: Callable[[float], int]) -> float:
    if value == 0 or not math.isfinite(value):
        return 0.0
    unit = 10.0 ** (math.floor(math.log10(abs(value))) - 2)
    return float(f"{rounding(value / unit) * unit:.6g}")


def _has_range(column: pd.Series) -> bool:
    known = column.dropna()
    numeric = types.is_numeric_dtype(known) and not types.is_bool_dtype(known)
    return bool(numeric and len(known) and known.min() < known.max())


def _members(rows: pd.DataFrame, name: str, *, severity: str) -> Iterator[str]:
    values = [one.item() if hasattr(one, "item") else one for one in rows[name].dropna().unique()]
    # What looks like a template would be filled in when the declaration is read.
    if len(values) > MOST_LABELS or "{{" in str(values) or "{%" in str(values):
        return
    arguments = {"column": name, "value_set": sorted(values, key=str)}
    yield _line("expect_column_values_to_be_in_set", arguments, severity=severity)


def _line(kind: str, arguments: Mapping[str, object], *, severity: str) -> str:
    written = ", ".join(
        f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in arguments.items()
    )
    return f"- {{type: {kind}, kwargs: {{{written}}}, severity: {severity}}}"
