"""Run the user's functions on rows, and refuse what would answer otherwise once it serves."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mlops_dagster.declaration import ModelIdentity
from mlops_dagster.errors import DataNotFitError
from mlops_dagster.features.spec import FeaturesSpec

Function = Callable[[pd.DataFrame], Any]
_SAMPLE = 200
_ALONE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """The feature columns of rows, in their order."""

    frame: pd.DataFrame
    columns: tuple[str, ...]


def make_features(
    model: ModelIdentity, spec: FeaturesSpec, inputs: pd.DataFrame, *, functions: Sequence[Function]
) -> Made:
    """Make the feature columns of rows; `inputs` has everything but the target.

    Raises: DataNotFitError when a function loses rows, moves them, changes the key, or gives a row
    another value when it sees other rows beside it.
    """
    made = apply_all(model, inputs, functions)
    columns = chosen_columns(model, spec, made)
    refuse_other_rows(model, inputs, made[list(columns)], functions)
    return Made(frame=made[list(columns)], columns=columns)


def apply_all(
    model: ModelIdentity, inputs: pd.DataFrame, functions: Sequence[Function]
) -> pd.DataFrame:
    """Run the functions in order, holding each to its rows."""
    made = inputs
    for function in functions:
        made = hold_to_rows(model, function, made)
    return made


def hold_to_rows(model: ModelIdentity, function: Function, rows: pd.DataFrame) -> pd.DataFrame:
    """Run one function. Raises: DataNotFitError saying what it did to the rows."""
    name = f"{function.__module__}.{getattr(function, '__name__', function)}"
    try:
        # A shallow copy: a function that writes into its frame leaves ours as it was.
        made = function(rows.copy(deep=False))
    except KeyError as error:
        message = (
            f"{model.address}/features: {name} asks for {error}, which is not there. "
            f"It is given {sorted(rows.columns)}; never the target {model.target!r}."
        )
        raise DataNotFitError(message) from error
    if problem := what_it_broke(model, rows, made):
        message = f"{model.address}/features: {name} {problem}."
        raise DataNotFitError(message)
    return pd.DataFrame(made)


def what_it_broke(model: ModelIdentity, rows: pd.DataFrame, made: Any) -> str:
    """Say what is wrong with what a function gave back; empty when nothing is."""
    if not isinstance(made, pd.DataFrame):
        return f"returned {type(made).__name__}, a pandas.DataFrame is needed"
    if len(made) != len(rows):
        return f"made {len(made):,} rows of {len(rows):,}; one row in must be one row out"
    if not made.index.equals(rows.index):
        return "changed the order of the rows, or their index"
    if wrong := misnamed(made):
        return wrong
    moved = [key for key in model.key if key in made and not made[key].equals(rows[key])]
    return f"changed the key {moved[0]!r}" if moved else ""


def misnamed(made: pd.DataFrame) -> str:
    """Say what is wrong with the names of columns; empty when nothing is."""
    if not all(kind is str for kind in map(type, made.columns)):
        return f"made a column whose name is no text: {list(made.columns)}"
    twice = made.columns[made.columns.duplicated()].tolist()
    return f"made two columns {twice[0]!r}" if twice else ""


def chosen_columns(model: ModelIdentity, spec: FeaturesSpec, made: pd.DataFrame) -> tuple[str, ...]:
    """Choose what the model is given. Raises: DataNotFitError for a column that is not there, or none."""
    wanted = spec.columns or tuple(made.columns)
    missing = [name for name in wanted if name not in made]
    if missing:
        where = f"{model.address}/features.columns"
        raise DataNotFitError.missing_columns(where, missing, list(made.columns))
    left_out = {*model.key, *spec.exclude, model.target, model.event_time}
    chosen = tuple(
        name
        for name in wanted
        if name not in left_out and not pd.api.types.is_datetime64_any_dtype(made[name])
    )
    if not chosen:
        message = (
            f"{model.address}/features: no column is left for the model. There are {list(made.columns)}; keys, "
            "times and what features.exclude names are no features."
        )
        raise DataNotFitError(message)
    return chosen


def refuse_other_rows(
    model: ModelIdentity, inputs: pd.DataFrame, made: pd.DataFrame, functions: Sequence[Function]
) -> None:
    """Run the functions on fewer rows in another order, and on single rows, and compare.

    A value that depends on the rows beside it is another one when the model is asked about one row.
    """
    if not functions or len(inputs) < 2:
        return
    mixed = np.random.default_rng(0).permutation(len(inputs))
    few = mixed[: min(_SAMPLE, len(inputs) // 2)]
    for places in (few, *np.split(few, len(few))[:_ALONE]):
        alone = apply_all(model, inputs.iloc[places].reset_index(drop=True), functions)
        refuse_difference(model, made.iloc[places].reset_index(drop=True), alone)


def refuse_difference(model: ModelIdentity, whole: pd.DataFrame, alone: pd.DataFrame) -> None:
    """Compare what was made of rows among all others with what was made of them alone."""
    for name in whole.columns:
        if name not in alone or not same_values(whole[name], alone[name]):
            message = (
                f"{model.address}/features: {name!r} has other values when fewer rows are given: it "
                "depends on the rows beside its own, so training and serving would differ. Compute "
                "it from the row alone, or bring it as a column of a second table (ingest.lookups)."
            )
            raise DataNotFitError(message)


def same_values(whole: "pd.Series[Any]", alone: "pd.Series[Any]") -> bool:
    """Compare two columns, null with null, numbers to 1e-9 of their size."""
    if pd.api.types.is_numeric_dtype(whole) and pd.api.types.is_numeric_dtype(alone):
        left, right = whole.to_numpy(float, na_value=np.nan), alone.to_numpy(float, na_value=np.nan)
        return bool(np.allclose(left, right, rtol=1e-9, atol=1e-12, equal_nan=True))
    told = [column.astype(object).where(column.notna(), None).tolist() for column in (whole, alone)]
    return told[0] == told[1]
