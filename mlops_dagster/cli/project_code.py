"""The Python files of a new project: definitions, features, tests."""

import json

import pandas as pd
from pandas.api import types

from mlops_dagster.cli.column_kinds import is_text
from mlops_dagster.cli.guesses import Guesses

DEFINITIONS = '''"""What Dagster loads: the model of `lifecycle.yaml`, and whatever you merge with it."""

from pathlib import Path

from mlops_dagster import build_lifecycle, load_lifecycle

defs = build_lifecycle(load_lifecycle(Path(__file__).with_name("lifecycle.yaml")))
'''

_HEAD = '''"""What the model is given. These functions travel inside the model: training and serving share them.

Each takes a DataFrame and gives one with the same rows, in the same order. Keep imports at the top.
"""

import pandas as pd
'''

_CALENDAR = '''
DATES = {names}


def calendar(rows: pd.DataFrame) -> pd.DataFrame:
    """Turn each date into what a model can read: month, weekday and hour."""
    made = rows.drop(columns=DATES, errors="ignore")
    for name in DATES:
        when = pd.to_datetime(rows[name], utc=True, format="mixed", errors="coerce")
        made[f"{{name}}_month"] = when.dt.month
        made[f"{{name}}_weekday"] = when.dt.day_of_week
        made[f"{{name}}_hour"] = when.dt.hour
    return made
'''

_MISSING = '''
WATCHED = {names}


def count_missing(rows: pd.DataFrame) -> pd.DataFrame:
    """Add how many values a row lacks: that they are missing often says something by itself."""
    return rows.assign(missing_values=rows[WATCHED].isna().sum(axis="columns"))
'''

_AS_IS = '''

def as_it_is(rows: pd.DataFrame) -> pd.DataFrame:
    """Give the model the columns as they are. Add your own here: `rows.assign(ratio=rows.a / rows.b)`."""
    return rows
'''

_TESTS = '''"""The project's own tests: `make test`."""

from pathlib import Path

import dagster as dg
import pandas as pd

from mlops_dagster import load_lifecycle
from {package}.definitions import defs
from {package}.features import {functions}

DECLARATION = Path(__file__).parents[1] / "{package}" / "lifecycle.yaml"
ROWS = pd.DataFrame({rows})


def test_the_declaration_reads_as_it_is_meant():
    spec = load_lifecycle(DECLARATION)
    assert (spec.name, spec.target) == ({name!r}, {target!r})


def test_dagster_can_load_the_definitions():
    dg.Definitions.validate_loadable(defs)
{tests}'''

_TEST = """

def test_{function}_keeps_every_row():
    made = {function}(ROWS)
    assert list(made.index) == list(ROWS.index)
"""


def feature_functions(rows: pd.DataFrame, guesses: Guesses) -> dict[str, str]:
    """Choose the feature functions that this table needs, with their code."""
    functions = {}
    missing = [name for name in guesses.inputs if rows[name].isna().any()]
    if missing:
        functions["count_missing"] = _MISSING.format(names=names(missing))
    if guesses.dates:
        functions["calendar"] = _CALENDAR.format(names=names(guesses.dates))
    return functions or {"as_it_is": _AS_IS}


def features_file(functions: dict[str, str]) -> str:
    """Write `features.py`: the lists first, so that they stand below the imports."""
    return _HEAD + "".join(functions.values())


def tests_file(rows: pd.DataFrame, guesses: Guesses, *, identity: tuple[str, str, str]) -> str:
    """Write the tests. `identity` is the package, the model's name and the target."""
    package, name, target = identity
    functions = sorted(feature_functions(rows, guesses))
    return _TESTS.format(
        package=package,
        name=name,
        target=target,
        functions=", ".join(functions),
        rows=made_up(rows, guesses),
        tests="".join(_TEST.format(function=one) for one in functions),
    )


def made_up(rows: pd.DataFrame, guesses: Guesses) -> str:
    """Make up three rows of the same kinds, so that no one's data stands in the tests."""
    columns = {}
    for name in guesses.inputs:
        columns[str(name)] = example_values(rows[name], is_a_date=name in guesses.dates)
    lines = [
        f"        {json.dumps(name, ensure_ascii=False)}: {three},"
        for name, three in columns.items()
    ]
    return "\n    {\n" + "\n".join(lines) + "\n    }\n" if lines else "index=range(3)"


def example_values(column: pd.Series, *, is_a_date: bool) -> str:
    """Write three values of a column's kind."""
    if is_a_date:
        return '["2024-01-01", "2024-06-15 12:30", None]'
    if is_text(column):
        return '["a", "b", None]'
    return "[True, False, True]" if types.is_bool_dtype(column) else "[1.0, 2.5, None]"


def names(columns: object) -> str:
    """Write a list of column names as Python does."""
    return json.dumps(list(columns), ensure_ascii=False)  # type: ignore[call-overload] # any iterable
