"""Which rows are held out, and whether both sides are apart.

Whether a row is held out depends on that row alone: on its time, or on the hash of its key (without
one of its inputs, of a group's row of the group). So a row that one model was fitted on is never held
out from the next, however many rows come, and both can be judged on the same rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from mlops_dagster.declaration import ModelIdentity, Task, write_duration
from mlops_dagster.errors import DataNotFitError
from mlops_dagster.profiles.moments import EARLIEST
from mlops_dagster.records import Check, Outcome, Severity
from mlops_dagster.scoring.inputs import as_given
from mlops_dagster.stores.content import row_marks
from mlops_dagster.train.spec import GroupSplit, RandomSplit, Split, StratifiedSplit, TimeSplit

APART = "no_row_in_both_splits"
_LEAST = 10
_MISTAKES = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The rows of each side, as positions. No value of the columns `apart` may be on both sides.

    With a training window, `since` is the oldest row's time that is learned from; older ones are on no
    side.
    """

    train: np.ndarray
    holdout: np.ndarray
    apart: tuple[str, ...]
    told: str
    note: str = ""
    since: datetime | None = None

    @property
    def kept(self) -> np.ndarray:
        """The rows of either side, in their order."""
        return np.sort(np.concatenate([self.train, self.holdout]))

    def alone(self) -> "Parts":
        """The same sides, as positions among the rows that are `kept`."""
        train, holdout = (np.searchsorted(self.kept, side) for side in (self.train, self.holdout))
        return replace(self, train=train, holdout=holdout)


def split_rows(
    model: ModelIdentity,
    rows: pa.Table,
    *,
    split: Split | None,
    seed: int,
    window: timedelta | None = None,
    now: datetime | None = None,
) -> Parts:
    """Hold rows out as declared. `rows` has the inputs, the target, the key and the times.

    With a `window`, only the newest of the other rows are learned from; what is held out stays the same.
    A few rows that are dated after `now` are held out, and say nothing of which others are the newest.
    Raises: DataNotFitError when one side has too few rows or classes to learn or to judge.
    """
    frame = rows.select(_read_of(model, rows, split)).to_pandas()
    if model.event_time:
        frame[model.event_time] = as_given(rows.select([model.event_time]))[model.event_time]
    _refuse_timeless(model, frame)
    chosen = split or default_split(model, frame, now=now)
    apart = _decided_by(model, rows, chosen)
    if isinstance(chosen, TimeSplit):
        times = frame[str(model.event_time)]
        held = np.asarray(times > _newest_of(times, now) - chosen.holdout)
    else:
        marks = row_marks(rows.select(apart), seed=seed)
        held = _held_by_hash(model, frame, chosen, marks)
    parts = Parts(
        train=np.flatnonzero(~held),
        holdout=np.flatnonzero(held),
        apart=apart,
        told=chosen.model_dump_json(),
        note=_note_of_times(model, frame, now) if isinstance(chosen, TimeSplit) else "",
    )
    if window is not None:
        parts = _newest(model, rows, parts, window, now=now)
    _refuse_thin(model, frame, parts)
    return parts


def _newest(
    model: ModelIdentity,
    rows: pa.Table,
    parts: Parts,
    window: timedelta,
    *,
    now: datetime | None,
) -> Parts:
    """Leave out the training rows that are older than the newest of them by `window` or more."""
    name = str(model.event_time)
    times = as_given(rows.select([name]))[name]
    known = times.iloc[parts.train]
    inside = (known > _newest_of(known, now) - window).to_numpy()
    left = int((~inside).sum())
    return replace(
        parts,
        train=parts.train[inside],
        since=known[inside].min().to_pydatetime(),
        note=(
            f"Learned from the newest {write_duration(window)}: {left:,} older rows were left out"
            + (", those without a time among them." if known.isna().any() else ".")
        ),
    )


def _read_of(model: ModelIdentity, rows: pa.Table, split: Split | None) -> list[str]:
    if isinstance(split, GroupSplit) and split.column not in rows.column_names:
        where = f"{model.address}/train.split.column"
        raise DataNotFitError.missing_columns(where, [split.column], rows.column_names)
    return [model.target, *([model.event_time] if model.event_time else [])]


def _decided_by(model: ModelIdentity, rows: pa.Table, split: Split) -> tuple[str, ...]:
    """Name the columns that decide a row's side: a corrected target must not change it."""
    if isinstance(split, GroupSplit):
        return (split.column,)
    return model.key or tuple(name for name in rows.column_names if name != model.target)


def default_split(
    model: ModelIdentity, rows: pd.DataFrame, *, now: datetime | None = None
) -> Split:
    """Choose a split: the newest fifth of the time span, else by chance with classes in their share."""
    if model.event_time:
        times = rows[model.event_time]
        oldest = times[times >= EARLIEST].min()
        return TimeSplit(holdout=(_newest_of(times, now) - oldest).to_pytimedelta() / 5)
    return StratifiedSplit() if model.task.is_classification else RandomSplit()


def _held_by_hash(
    model: ModelIdentity,
    frame: pd.DataFrame,
    split: RandomSplit | StratifiedSplit | GroupSplit,
    marks: np.ndarray,
) -> np.ndarray:
    if not isinstance(split, StratifiedSplit):
        return marks <= _last_held(marks, split.holdout)
    held = np.zeros(len(frame), dtype=bool)
    for places in frame.groupby(model.target, sort=True).indices.values():
        held[places] = marks[places] <= _last_held(marks[places], split.holdout)
    return held


def _last_held(marks: np.ndarray, share: float) -> np.uint64:
    """Choose the largest mark that is held out: the share of all marks that there can be.

    That is the same for every table, so that more rows move no row to the other side. Only of a few
    rows the lowest marks are taken by their rank, up to ten of them, so that none are missing.
    """
    known = np.unique(marks)
    by_share = int(np.searchsorted(known, np.uint64(share * 2.0**64)))
    by_rank = max(1, min(_LEAST, round(len(known) * share)))
    count = min(max(by_share, by_rank), max(len(known) - 1, 1))
    return np.uint64(known[count - 1]) if len(known) else np.uint64(0)


def _newest_of(times: "pd.Series[Any]", now: datetime | None) -> Any:
    """Find the newest time: a few mistyped years must not shrink the holdout to their rows."""
    ahead = times > pd.Timestamp(now) if now is not None else times.isna()
    return times[~ahead].max() if ahead.mean() <= _MISTAKES else times.max()


def _note_of_times(model: ModelIdentity, frame: pd.DataFrame, now: datetime | None) -> str:
    times, told = frame[str(model.event_time)], []
    if missing := int(times.isna().sum()):
        # Held out they would be judged as the newest rows, which nobody knows them to be.
        told.append(
            f"{missing:,} rows have no {model.event_time!r} and are among the training rows; an "
            "expectation that it is not null keeps such rows out."
        )
    if now is not None and (ahead := int((times > pd.Timestamp(now)).sum())):
        told.append(
            f"{ahead:,} rows with a known {model.target!r} are dated after now, up to "
            f"{times.max():%Y-%m-%d}: is {model.event_time!r} right there?"
        )
    return " ".join(told)


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
                f"{_LEAST} are needed.{_span(model, rows)} Change train.split or train.window, or wait for more rows."
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
    model: ModelIdentity, features: pd.DataFrame, rows: pa.Table, parts: Parts
) -> Check:
    """Compare what really stands on both sides: what must be on one side only, and equal rows.

    The first is a refusal. The second is one that only warns: a row that differs from a training row
    in its key alone is a copy under another name, or one of many alike where values are few.
    """
    equal = _shared([features, rows.select([model.target]).to_pandas()], parts)
    told = (
        f"{len(parts.train):,} training and {len(parts.holdout):,} holdout rows; {equal:,} holdout "
        f"rows equal a training row in every feature and the target. {parts.note}"
    ).strip()
    if both := _on_both_sides(rows.select(parts.apart), parts):
        named = ", ".join(parts.apart) if len(parts.apart) <= 3 else "all inputs"
        because = f"{both:,} holdout rows have a value of {named} that is in the training rows too. {told}"
        return Check(name=APART, outcome=Outcome.REFUSED, because=because)
    if copies := _on_both_sides(rows.drop_columns(list(model.key)), parts):
        because = (
            f"{copies:,} holdout rows equal a training row in all but the key, so the metrics may "
            f"flatter. If they are copies, remove them, or split by group. {told}"
        )
        return Check(
            name=APART, outcome=Outcome.REFUSED, because=because, severity=Severity.WARNING
        )
    return Check(name=APART, outcome=Outcome.PASSED, because=told)


def _on_both_sides(rows: pa.Table, parts: Parts) -> int:
    """Count the holdout rows whose content a training row has."""
    marks = row_marks(rows)
    return int(np.isin(marks[parts.holdout], marks[parts.train]).sum())


def _shared(frames: Sequence[pd.DataFrame], parts: Parts) -> int:
    """Count the holdout rows that a training row equals in every column."""
    marks: np.ndarray = np.zeros(len(frames[0]), dtype=np.uint64)
    for frame in frames:
        marks = marks * np.uint64(31) + pd.util.hash_pandas_object(frame, index=False).to_numpy()
    return int(np.isin(marks[parts.holdout], marks[parts.train]).sum())
