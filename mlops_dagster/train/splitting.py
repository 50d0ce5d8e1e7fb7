"""Which rows are held out, and whether both sides are apart."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from mlops_dagster.declaration import ModelIdentity
from mlops_dagster.errors import DataNotFitError
from mlops_dagster.records import Check, Outcome
from mlops_dagster.train.spec import GroupSplit, RandomSplit, Split, StratifiedSplit, TimeSplit

APART = "no_row_in_both_splits"
_LEAST = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The rows of each side, as positions."""

    train: np.ndarray
    holdout: np.ndarray
    told: str


def split_rows(
    model: ModelIdentity, rows: pd.DataFrame, *, split: Split | None, seed: int
) -> Parts:
    """Hold rows out as declared. `rows` has the target, the key and the times.

    Raises: DataNotFitError when one side has too few rows or classes to learn or to judge.
    """
    held = _held_out(model, rows, split or default_split(model, rows), seed)
    parts = Parts(
        train=np.flatnonzero(~held),
        holdout=np.flatnonzero(held),
        told=str((split or default_split(model, rows)).model_dump(mode="json")),
    )
    _refuse_thin(model, rows, parts)
    return parts


def default_split(model: ModelIdentity, rows: pd.DataFrame) -> Split:
    """Choose a split: the newest fifth of the time span, else by chance with classes in their share."""
    if model.event_time:
        times = rows[model.event_time]
        return TimeSplit(holdout=(times.max() - times.min()).to_pytimedelta() / 5)
    return StratifiedSplit() if model.task.is_classification else RandomSplit()


def _held_out(model: ModelIdentity, rows: pd.DataFrame, split: Split, seed: int) -> np.ndarray:
    chance = np.random.default_rng(seed)
    match split:
        case TimeSplit():
            times = rows[str(model.event_time)]
            return np.asarray(times > times.max() - split.holdout)
        case RandomSplit():
            return _some(len(rows), split.holdout, chance)
        case GroupSplit():
            return _held_groups(model, rows, split, chance)
        case StratifiedSplit():
            held = np.zeros(len(rows), dtype=bool)
            for places in rows.groupby(model.target, sort=True).indices.values():
                held[places] = _some(len(places), split.holdout, chance)
            return held


def _held_groups(
    model: ModelIdentity, rows: pd.DataFrame, split: GroupSplit, chance: np.random.Generator
) -> np.ndarray:
    if split.column not in rows:
        where = f"{model.address}/train.split.column"
        raise DataNotFitError.missing_columns(where, [split.column], [str(one) for one in rows])
    codes, groups = pd.factorize(rows[split.column], sort=True)
    return _some(len(groups), split.holdout, chance)[codes]


def _some(count: int, share: float, chance: np.random.Generator) -> np.ndarray:
    held = np.zeros(count, dtype=bool)
    held[chance.permutation(count)[: max(1, round(count * share))]] = True
    return held


def _refuse_thin(model: ModelIdentity, rows: pd.DataFrame, parts: Parts) -> None:
    for name, places in (("training", parts.train), ("holdout", parts.holdout)):
        if len(places) < _LEAST:
            message = (
                f"{model.address}/train: {len(places)} of {len(rows):,} rows for {name}; at least "
                f"{_LEAST} are needed. Change train.split, or wait for more rows."
            )
            raise DataNotFitError(message)
    classes = rows[model.target].iloc[parts.train].nunique()
    if model.task.is_classification and classes < 2:
        message = (
            f"{model.address}/train: the training rows have one class of {model.target!r} only. "
            "Change train.split, or bring rows of the other class."
        )
        raise DataNotFitError(message)


def judge_apart(
    model: ModelIdentity, rows: pd.DataFrame, parts: Parts, columns: list[str]
) -> Check:
    """Say whether a key stands on both sides, and how many holdout rows equal a training row."""
    train, holdout = rows.iloc[parts.train], rows.iloc[parts.holdout]
    equal = _shared(train, holdout, [*columns, model.target])
    told = (
        f"{len(train):,} training and {len(holdout):,} holdout rows; {equal:,} holdout rows equal a "
        "training row in every feature and the target."
    )
    twice = _shared(train, holdout, list(model.key)) if model.key else 0
    if twice:
        because = f"{twice:,} keys stand on both sides of the split. {told}"
        return Check(name=APART, outcome=Outcome.REFUSED, because=because)
    return Check(name=APART, outcome=Outcome.PASSED, because=told)


def _shared(train: pd.DataFrame, holdout: pd.DataFrame, columns: list[str]) -> int:
    marks = [pd.util.hash_pandas_object(side[columns], index=False) for side in (train, holdout)]
    return int(marks[1].isin(marks[0]).sum())
