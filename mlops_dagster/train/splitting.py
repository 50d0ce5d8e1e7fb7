"""Which rows are held out, and whether both sides are apart."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mlops_dagster.declaration import ModelIdentity, Task
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
    _refuse_timeless(model, rows)
    chosen = split or default_split(model, rows)
    held = _held_out(model, rows, chosen, seed)
    parts = Parts(
        train=np.flatnonzero(~held),
        holdout=np.flatnonzero(held),
        told=chosen.model_dump_json(),
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
    codes, groups = pd.factorize(rows[split.column], sort=True, use_na_sentinel=False)
    return _some(len(groups), split.holdout, chance)[codes]


def _some(count: int, share: float, chance: np.random.Generator) -> np.ndarray:
    held = np.zeros(count, dtype=bool)
    held[chance.permutation(count)[: max(1, round(count * share))]] = True
    return held


def _refuse_timeless(model: ModelIdentity, rows: pd.DataFrame) -> None:
    if model.event_time and rows[model.event_time].isna().all():
        message = (
            f"{model.address}/train: none of {len(rows):,} rows has a value in the event_time column "
            f"{model.event_time!r}. Mend the source, or leave event_time out of the declaration."
        )
        raise DataNotFitError(message)


def _refuse_thin(model: ModelIdentity, rows: pd.DataFrame, parts: Parts) -> None:
    for name, places in (("training", parts.train), ("holdout", parts.holdout)):
        if len(places) < _LEAST:
            message = (
                f"{model.address}/train: {len(places)} of {len(rows):,} rows for {name}; at least "
                f"{_LEAST} are needed.{_span(model, rows)} Change train.split, or wait for more rows."
            )
            raise DataNotFitError(message)
    if model.task.is_classification:
        _refuse_classes(model, rows[model.target], parts)
    elif not pd.api.types.is_numeric_dtype(target := rows[model.target]):
        message = (
            f"{model.address}/train: {model.target!r} holds no numbers but {target.iloc[0]!r} and the "
            "like, a regression needs numbers. Mend the source, or declare a classification."
        )
        raise DataNotFitError(message)


def _span(model: ModelIdentity, rows: pd.DataFrame) -> str:
    if not model.event_time:
        return ""
    times = rows[model.event_time]
    return f" {model.event_time!r} runs from {times.min():%Y-%m-%d} to {times.max():%Y-%m-%d}."


def _refuse_classes(model: ModelIdentity, target: "pd.Series[Any]", parts: Parts) -> None:
    there = target.nunique()
    if model.task is Task.BINARY and there > 2:
        message = (
            f"{model.address}/train: {model.target!r} has {there} different values, a binary "
            "classification knows two. Declare task: multiclass_classification, or regression."
        )
        raise DataNotFitError(message)
    for name, places in (("training", parts.train), ("holdout", parts.holdout)):
        if target.iloc[places].nunique() < 2:
            message = (
                f"{model.address}/train: the {name} rows have one class of {model.target!r} only. "
                "Change train.split, or bring rows of the other class."
            )
            raise DataNotFitError(message)


def judge_apart(
    model: ModelIdentity, features: pd.DataFrame, rows: pd.DataFrame, parts: Parts
) -> Check:
    """Say whether a key stands on both sides, and how many holdout rows equal a training row."""
    equal = _shared([features, rows[[model.target]]], parts)
    told = (
        f"{len(parts.train):,} training and {len(parts.holdout):,} holdout rows; {equal:,} holdout "
        "rows equal a training row in every feature and the target."
    )
    twice = _shared([rows[list(model.key)]], parts) if model.key else 0
    if twice:
        because = f"{twice:,} holdout rows have a key that is in the training rows too. {told}"
        return Check(name=APART, outcome=Outcome.REFUSED, because=because)
    return Check(name=APART, outcome=Outcome.PASSED, because=told)


def _shared(frames: Sequence[pd.DataFrame], parts: Parts) -> int:
    """Count the holdout rows that a training row equals in every column."""
    marks: np.ndarray = np.zeros(len(frames[0]), dtype=np.uint64)
    for frame in frames:
        marks = marks * np.uint64(31) + pd.util.hash_pandas_object(frame, index=False).to_numpy()
    return int(np.isin(marks[parts.holdout], marks[parts.train]).sum())
