"""What a table seems to be, each guess with its reason. Pure: rows in, guesses out."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import pandas as pd
from pandas.api import types

from mlops_dagster.cli.column_kinds import (
    as_time,
    can_name,
    is_code,
    is_counter,
    is_date,
    shown,
)
from mlops_dagster.cli.left_out import ID_NAME, guess_excluded
from mlops_dagster.declaration import Task
from mlops_dagster.errors import DataNotFitError

FEWEST_ROWS = 20
FEWEST_OF_A_CLASS = 5
MOST_OF_A_SLIP = 2
"""A label in no more rows than this may be a slip of whoever wrote it."""
FEWEST_OF_A_SIDE = 10
MOST_CLASSES = 10
HOLDOUT = 0.2

_WHERE = "--target"
_TIME_NAME = re.compile(
    r"time|date|timestamp|(^|_)at$|day|month|when|created|signup", re.IGNORECASE
)
_BIRTH_NAME = re.compile(r"birth|dob", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Which rows are held out: the last `days` by time, or else a `share` at random."""

    days: int | None
    share: float
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Guesses:
    """What is guessed of a table; every `because` is a sentence for the person who reads it."""

    rows: int
    task: Task
    task_because: str
    key: tuple[str, ...]
    key_because: str
    event_time: str | None
    event_time_because: str
    split: Split
    excluded: Mapping[str, str]
    dates: tuple[str, ...]
    inputs: tuple[str, ...]


def guess(rows: pd.DataFrame, *, target: str) -> Guesses:
    """Guess what a table is. Raises: DataNotFitError when nothing can be learned from it."""
    refuse_unfit(rows, target)
    task, task_because = guess_task(rows[target], target)
    dates = [name for name in rows.columns if name != target and is_date(rows[name])]
    event_time, time_because = guess_event_time(rows, dates)
    key, key_because = guess_key(rows, target=target, event_time=event_time)
    taken = {target, *key, *([event_time] if event_time else [])}
    others = [name for name in rows.columns if name not in taken]
    excluded = guess_excluded(rows, others, target=target)
    inputs = tuple(name for name in others if name not in excluded)
    if not inputs:
        raise nothing_to_learn_from(target, key=key, event_time=event_time, excluded=excluded)
    return Guesses(
        rows=len(rows),
        task=task,
        task_because=task_because,
        key=key,
        key_because=key_because,
        event_time=event_time,
        event_time_because=time_because,
        split=guess_split(rows, target=target, event_time=event_time, task=task),
        excluded=excluded,
        dates=tuple(name for name in dates if name in others and name not in excluded),
        inputs=inputs,
    )


def nothing_to_learn_from(
    target: str, *, key: Sequence[str], event_time: str | None, excluded: Mapping[str, str]
) -> DataNotFitError:
    """Say what became of each column, when none is left as an input."""
    told = dict.fromkeys(key, "names a row")
    told |= {event_time: "says when a row happened"} if event_time else {}
    others = "; ".join(f"{name!r}: {because}" for name, because in {**told, **excluded}.items())
    beside = f"the other columns are no inputs ({others})" if others else "there is no other column"
    return DataNotFitError(f"--target: there is nothing to learn {target!r} from: {beside}.")


def refuse_unfit(rows: pd.DataFrame, target: str) -> None:
    """Refuse a table that no model can be made of, and say why."""
    if target not in rows.columns:
        raise DataNotFitError.missing_columns(_WHERE, [target], map(str, rows.columns))
    if len(rows) < FEWEST_ROWS:
        message = (
            f"The table has {len(rows)} rows; at least {FEWEST_ROWS} are needed to hold some out."
        )
        raise DataNotFitError(message)
    known = rows[target].dropna()
    if known.empty:
        message = (
            f"--target: {target!r} is empty in all {len(rows)} rows. There is nothing to learn."
        )
        raise DataNotFitError(message)
    if len(known) < FEWEST_ROWS:
        message = (
            f"--target: {target!r} is known in {len(known)} of {len(rows)} rows; "
            f"at least {FEWEST_ROWS} are needed."
        )
        raise DataNotFitError(message)
    if known.nunique() == 1:
        message = (
            f"--target: {target!r} is {shown(known.iloc[:1])} in every row. "
            "A model needs at least two different values to learn from."
        )
        raise DataNotFitError(message)


def guess_task(target: pd.Series, name: str) -> tuple[Task, str]:
    """Guess what kind of target it is."""
    known = target.dropna()
    values = list(known.unique())
    if types.is_datetime64_any_dtype(known) or is_date(known):
        message = (
            f"--target: {name!r} holds dates. Give a label or a number, such as days until then."
        )
        raise DataNotFitError(message)
    if len(values) == 2:
        _refuse_rare(known, name)
        return Task.BINARY, f"{name!r} has two values: {shown(values)}"
    if types.is_numeric_dtype(known) and not types.is_bool_dtype(known):
        whole = bool((known % 1 == 0).all())
        if whole and len(values) <= MOST_CLASSES:
            rare = _rare_labels(known, name)
            return Task.MULTICLASS, (
                f"{name!r} has {len(values)} whole numbers: {shown(values)}{rare}; "
                "write regression if their distance has a meaning"
            )
        return Task.REGRESSION, f"{name!r} is a number with {len(values)} different values"
    _refuse_texts(known, name)
    rare = _rare_labels(known, name)
    return Task.MULTICLASS, f"{name!r} has {len(values)} labels: {shown(values)}{rare}"


def _refuse_rare(known: pd.Series, name: str) -> None:
    counts = known.value_counts()
    if counts.iloc[-1] < FEWEST_OF_A_CLASS:
        message = (
            f"--target: {name!r} is {shown([counts.index[-1]])} in only {counts.iloc[-1]} of {len(known)} "
            f"rows; at least {FEWEST_OF_A_CLASS} are needed to learn it and to judge it."
        )
        raise DataNotFitError(message)


def _rare_labels(known: pd.Series, name: str) -> str:
    """Name the labels that stand once or twice; refuse them when two would be left without them."""
    counts = known.value_counts()
    rare = counts[counts <= MOST_OF_A_SLIP]
    if rare.empty:
        return ""
    told = ", ".join(f"{shown([label])} ({count})" for label, count in rare.items())
    if len(counts) - len(rare) > 2:
        return f"; hardly to be learned from so few rows: {told}"
    others = shown(counts.index[: len(counts) - len(rare)])
    message = (
        f"--target: {name!r} is {others} but for a few rows: {told}. "
        "Mend those labels, make them empty, or take the rows out."
    )
    raise DataNotFitError(message)


def _refuse_texts(known: pd.Series, name: str) -> None:
    numbers = pd.to_numeric(known, errors="coerce")
    count = known.nunique()
    if count > MOST_CLASSES and numbers.notna().mean() > 0.5:
        wrong = known[numbers.isna()]
        message = (
            f"--target: {name!r} is a number in {int(numbers.notna().sum())} of {len(known)} rows and "
            f"text in the others; first: {wrong.iloc[0]!r}. Make it empty where it is not known."
        )
        raise DataNotFitError(message)
    if count > max(MOST_CLASSES, len(known) // 10):
        message = (
            f"--target: {name!r} holds {count} different texts in {len(known)} rows: "
            "neither a label nor a number. Name another column."
        )
        raise DataNotFitError(message)


def guess_event_time(rows: pd.DataFrame, dates: Sequence[str]) -> tuple[str | None, str]:
    """Guess when a row happened: a time that is known in every row and not always the same."""
    fit = [
        name
        for name in dates
        if rows[name].notna().all() and rows[name].nunique() > 5 and not _BIRTH_NAME.search(name)
    ]
    if not fit:
        found = f" ({shown(dates)}: not known in every row, or hardly varies)" if dates else ""
        return None, f"no column says when a row happened{found}"
    ranked = sorted(fit, key=lambda name: (not _TIME_NAME.search(name), -rows[name].nunique()))
    times = as_time(rows[ranked[0]])
    others = f"; other times: {shown(ranked[1:])}" if ranked[1:] else ""
    return ranked[
        0
    ], f"a time in every row, {times.min():%Y-%m-%d} to {times.max():%Y-%m-%d}{others}"


def guess_key(
    rows: pd.DataFrame, *, target: str, event_time: str | None
) -> tuple[tuple[str, ...], str]:
    """Guess the column, or the pair, that names one row."""
    complete = [
        name
        for name in rows.columns
        if name not in {target, event_time} and rows[name].notna().all() and can_name(rows[name])
    ]
    named = [name for name in complete if ID_NAME.search(str(name))]
    for name in [*named, *(one for one in complete if is_counter(rows[one]) or is_code(rows[one]))]:
        if rows[name].is_unique:
            return (name,), "a different value in every row"
    partners = [*named, *([event_time] if event_time else [])][:6]
    for pair in combinations(partners, 2):
        if not rows.duplicated(list(pair)).any():
            return tuple(pair), "together different in every row"
    return (), "no column names one row: late or corrected rows are not recognised, all is replaced"


def guess_split(rows: pd.DataFrame, *, target: str, event_time: str | None, task: Task) -> Split:
    """Hold out the newest fifth of the rows when there is a time, else a fifth at random."""
    known = rows[rows[target].notna()]
    share = max(HOLDOUT, math.ceil(100 * FEWEST_OF_A_SIDE / len(known)) / 100)
    at_random = f"{share:.0%} of the rows at random"
    if event_time is None:
        return Split(days=None, share=share, because=f"{at_random}: there is no event time")
    times = as_time(known[event_time])
    days = max(1, math.ceil((times.max() - times.quantile(1 - share)) / pd.Timedelta(days=1)))
    late = times > times.max() - pd.Timedelta(days=days)
    if not has_both_sides(known[target], late, task=task):
        because = f"{at_random}: the newest {days} days, or those before, do not hold every class"
        return Split(days=None, share=share, because=because)
    because = f"the newest {late.sum()} of {len(known)} rows by time"
    return Split(days=days, share=share, because=because)


def has_both_sides(target: pd.Series, late: pd.Series, *, task: Task) -> bool:
    """Tell whether there is enough to learn from before a time, and to judge after it."""
    sides = (target[late], target[~late])
    fewest = target.nunique() if task.is_classification else 2
    return all(len(side) >= FEWEST_OF_A_SIDE and side.nunique() >= fewest for side in sides)
