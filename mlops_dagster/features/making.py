"""Run the user's functions on rows, and refuse what would answer otherwise once it serves."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mlops_dagster.declaration import ModelIdentity
from mlops_dagster.errors import DataNotFitError
from mlops_dagster.features.spec import FeaturesSpec

Function = Callable[[pd.DataFrame], pd.DataFrame]
_SAMPLE = 200


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
        made = function(rows)
    except KeyError as error:
        message = (
            f"{model.address}/features: {name} asks for column {error}, which is not there. "
            f"It is given {sorted(rows.columns)}; never the target {model.target!r}."
        )
        raise DataNotFitError(message) from error
    problem = ""
    if not isinstance(made, pd.DataFrame):
        problem = f"returned {type(made).__name__}, a pandas.DataFrame is needed"
    elif len(made) != len(rows):
        problem = f"made {len(made):,} rows of {len(rows):,}; one row in must be one row out"
    elif not made.index.equals(rows.index):
        problem = "changed the order of the rows, or their index"
    elif moved := [key for key in model.key if key in made and not made[key].equals(rows[key])]:
        problem = f"changed the key {moved[0]!r}"
    if problem:
        message = f"{model.address}/features: {name} {problem}."
        raise DataNotFitError(message)
    return made


def chosen_columns(model: ModelIdentity, spec: FeaturesSpec, made: pd.DataFrame) -> tuple[str, ...]:
    """Choose what the model is given. Raises: DataNotFitError for a column that is not there."""
    wanted = spec.columns or tuple(made.columns)
    missing = [name for name in wanted if name not in made]
    if missing:
        where = f"{model.address}/features.columns"
        raise DataNotFitError.missing_columns(where, missing, [str(name) for name in made])
    left_out = {*model.key, *spec.exclude, model.target, model.event_time}
    return tuple(
        str(name)
        for name in wanted
        if name not in left_out and not pd.api.types.is_datetime64_any_dtype(made[name])
    )


def refuse_other_rows(
    model: ModelIdentity, inputs: pd.DataFrame, made: pd.DataFrame, functions: Sequence[Function]
) -> None:
    """Run the functions on a few rows alone, in another order, and compare.

    A value that depends on the rows beside it is another one when the model is asked about one row.
    """
    if not functions or len(inputs) < 2:
        return
    few = np.random.default_rng(0).permutation(len(inputs))[:_SAMPLE]
    rows = inputs.iloc[few].reset_index(drop=True)
    alone = apply_all(model, rows, functions)
    for name in made.columns:
        whole = made[name].iloc[few].reset_index(drop=True)
        if not same_values(whole, alone[name]):
            message = (
                f"{model.address}/features: {name!r} has other values when fewer rows are given: it "
                "depends on the rows beside its own, so training and serving would differ. Compute "
                "it from the row alone, or bring it as a column of a second table (ingest.lookups)."
            )
            raise DataNotFitError(message)


def same_values(whole: pd.Series, alone: pd.Series) -> bool:
    """Compare two columns, null with null, numbers to 1e-9 of their size."""
    if pd.api.types.is_numeric_dtype(whole) and pd.api.types.is_numeric_dtype(alone):
        left, right = whole.to_numpy(float, na_value=np.nan), alone.to_numpy(float, na_value=np.nan)
        return bool(np.allclose(left, right, rtol=1e-9, atol=1e-12, equal_nan=True))
    told = [column.astype(object).where(column.notna(), None).tolist() for column in (whole, alone)]
    return told[0] == told[1]
