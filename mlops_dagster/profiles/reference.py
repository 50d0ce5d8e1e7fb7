"""The profile that a model is compared with: made when it is trained, kept in the model's folder."""

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from mlops_dagster.errors import DataNotFitError, StoreError
from mlops_dagster.profiles.columns import TableProfile, dumps, from_json, to_json
from mlops_dagster.profiles.derived import with_derived
from mlops_dagster.profiles.tables import profile_of, profile_windows

PROFILE_FILE = "profile.json"
MOST_WINDOWS = 104


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceProfile:
    """What a model was fitted on and what it answered there; `windows` is how many it is cut into.

    `window` is the length of one, None when the rows have no event time. `newest` is the largest event
    time in the rows and `through` the last batch that they came with, where these are known.
    """

    features: TableProfile
    predictions: TableProfile
    rows: int
    windows: int = 0
    window: timedelta | None = None
    newest: datetime | None = None
    through: int | None = None


def reference_of(
    features: pa.Table,
    predictions: pa.Table,
    *,
    event_times: pa.ChunkedArray | pa.Array | None = None,
    window: timedelta | None = None,
    through: int | None = None,
) -> ReferenceProfile:
    """Profile the rows that a model was fitted on and its answers, row by row alike.

    With `event_times` and `window` both are cut into complete windows too, so that the difference
    between windows is known; the last 104 of them are kept.
    Raises: DataNotFitError when the two tables have different numbers of rows.
    """
    if features.num_rows != predictions.num_rows:
        message = (
            f"profiles: {features.num_rows} rows of features and {predictions.num_rows} predictions. "
            "Give one prediction per feature row."
        )
        raise DataNotFitError(message)
    features = with_derived(features)
    whole = ReferenceProfile(
        features=profile_of(features),
        predictions=profile_of(predictions),
        rows=features.num_rows,
        newest=_newest(event_times),
        through=through,
    )
    if event_times is None or not window:
        return whole
    numbers = windows_of(event_times, length=window)
    cut = [
        replace(one, windows=tuple(_complete(table, numbers, one)))
        for table, one in ((features, whole.features), (predictions, whole.predictions))
    ]
    return replace(
        whole,
        features=cut[0],
        predictions=cut[1],
        windows=len(cut[0].windows),
        window=window,
    )


def answers_profile(
    held_out: pa.Table,
    every: pa.Table,
    *,
    event_times: pa.ChunkedArray | pa.Array | None,
    window: timedelta | None,
) -> TableProfile:
    """Profile the answers to held-out rows, with windows of the answers to `every` labelled row.

    Answers to rows that a model was fitted on are too sure of themselves to say where answers are, but
    they differ from window to window as those to unseen rows do, and a holdout has few windows.
    """
    profile = profile_of(held_out)
    if event_times is None or not window:
        return profile
    numbers = windows_of(event_times, length=window)
    return replace(profile, windows=tuple(_complete(every, numbers, profile)))


def write_reference(folder: Path, reference: ReferenceProfile) -> Path:
    """Write the profile into a model's folder; the same profile gives the same bytes."""
    content = {
        "features": to_json(reference.features),
        "predictions": to_json(reference.predictions),
        "rows": reference.rows,
        "windows": reference.windows,
        "window_s": reference.window.total_seconds() if reference.window else None,
        "newest": reference.newest.isoformat() if reference.newest else None,
        "through": reference.through,
    }
    path = folder / PROFILE_FILE
    path.write_text(dumps(content), encoding="utf-8")
    return path


def read_reference(folder: Path) -> ReferenceProfile:
    """Read the profile in a model's folder.

    Raises: StoreError when there is none, or a later version of this package wrote it.
    """
    path = folder / PROFILE_FILE
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        message = (
            f"profiles: {path} holds no profile: {error}. "
            "Train and register the model with this package, so that it carries one."
        )
        raise StoreError(message) from error
    seconds = stored["window_s"]
    return ReferenceProfile(
        features=from_json(stored["features"]),
        predictions=from_json(stored["predictions"]),
        rows=stored["rows"],
        windows=stored["windows"],
        window=timedelta(seconds=seconds) if seconds else None,
        newest=datetime.fromisoformat(stored["newest"]) if stored["newest"] else None,
        through=stored["through"],
    )


def as_table(frame: pd.DataFrame) -> pa.Table:
    """Turn feature rows into what is profiled; a column of mixed objects is read as text."""
    plain = frame.reset_index(drop=True)
    return pa.table({str(name): _array(plain[name]) for name in plain.columns})


def _array(column: "pd.Series[Any]") -> pa.Array:
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        return pa.Array.from_pandas(column.dt.tz_convert(None))
    mixed = column.dtype == object and pd.api.types.infer_dtype(column, skipna=True) in _MIXED
    text = column.where(column.isna(), column.astype(str)) if mixed else column
    return pa.Array.from_pandas(text)


_MIXED = frozenset({"mixed", "mixed-integer", "unknown-array"})


def _newest(event_times: pa.ChunkedArray | pa.Array | None) -> datetime | None:
    if event_times is None:
        return None
    newest: datetime | None = pc.max(pc.cast(event_times, pa.timestamp("us"), safe=False)).as_py()
    return newest.replace(tzinfo=UTC) if newest else None


def windows_of(event_times: pa.ChunkedArray | pa.Array, *, length: timedelta) -> pa.Array:
    """Number the window of each time, counted from the first; null stays null.

    The first window starts at the midnight (UTC) of the first time.
    """
    stamps = pc.cast(event_times, pa.timestamp("us"), safe=False)
    moments = pc.cast(stamps, pa.int64())
    first = pc.min(moments).as_py()
    if first is None:
        return pa.nulls(len(moments), pa.int64())
    day, size = timedelta(days=1) // _MICROSECOND, length // _MICROSECOND
    return pc.divide(pc.subtract(moments, first // day * day), size)


_MICROSECOND = timedelta(microseconds=1)


def _complete(table: pa.Table, numbers: pa.Array, whole: TableProfile) -> list[TableProfile]:
    """Profile the windows, without the last one: it may still have been filling."""
    last = pc.max(numbers).as_py() or 0
    recent = pc.and_(pc.less(numbers, last), pc.greater_equal(numbers, last - MOST_WINDOWS))
    kept = pc.if_else(recent, numbers, pa.scalar(None, pa.int64()))
    return list(profile_windows(table, window_of=kept, edges_from=whole).values())
