"""A model's history: every row with its features, when it happened, and when its outcome was known."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow.compute as pc

from mlops_dagster.declaration import ModelIdentity
from mlops_dagster.errors import DataNotFitError, SpecError
from mlops_dagster.profiles.moments import possible
from mlops_dagster.records import FeatureSet
from mlops_dagster.scoring.feature_rows import FeatureRows
from mlops_dagster.stores.accepted import find_record
from mlops_dagster.workbench import Workbench

Places = npt.NDArray[np.int64]
_DELAY = re.compile(r"^(month\+)?(\d+)([dh])$")


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelDelay:
    """When an outcome is known: so long after the row, or after the end of the row's month."""

    after: timedelta
    by_month: bool = False

    @classmethod
    def read(cls, text: str) -> "LabelDelay":
        """Read `36d`, `12h`, or `month+2d`. Raises: SpecError when it is none of these."""
        found = _DELAY.match(text)
        if found is None:
            message = (
                f"--labels: {text!r} is no delay. Write 36d, 12h, or month+2d (a monthly report)."
            )
            raise SpecError(message)
        unit = {"d": timedelta(days=1), "h": timedelta(hours=1)}[found[3]]
        return cls(after=int(found[2]) * unit, by_month=bool(found[1]))

    def known_at(self, times: "pd.Series[Any]") -> "pd.Series[Any]":
        """Tell when the outcome of each row is known."""
        if not self.by_month:
            later: pd.Series[Any] = times + self.after
            return later
        months = times.dt.tz_localize(None).dt.to_period("M") + 1
        reported: pd.Series[Any] = months.dt.to_timestamp().dt.tz_localize("UTC") + self.after
        return reported


@dataclass(frozen=True, eq=False)
class History:
    """Rows with a known outcome, oldest first. Places number them.

    `left_out` counts those without a time, or with one that cannot be.
    """

    model: ModelIdentity
    rows: FeatureRows
    times: "pd.Series[Any]"
    known: "pd.Series[Any]"
    left_out: int = 0

    @classmethod
    def read(cls, bench: Workbench, model: ModelIdentity, delay: LabelDelay) -> "History":
        """Read the accepted features.

        Raises: SpecError when the model has no event time, StoreError when nothing was made yet,
        DataNotFitError when no row has a time.
        """
        if model.event_time is None:
            message = f"{model.name}: no event_time is declared, so there is no history to play."
            raise SpecError(message)
        address = (model.name, model.segment, "features")
        made = find_record(bench.records, bench.operations, address=address, kind=FeatureSet)
        read = FeatureRows.read(bench.tables, made.table)
        dated = pc.is_valid(possible(read.table[model.event_time], now=bench.clock.now()))
        table = read.table.filter(dated)
        if not table.num_rows:
            message = (
                f"{model.name}: none of {len(dated):,} rows has a time in {model.event_time!r} that is "
                "not after now, so there is no history to play. Mend the source."
            )
            raise DataNotFitError(message)
        rows = FeatureRows(table=table.sort_by(model.event_time))
        times = as_utc(rows.column(model.event_time))
        left_out = len(dated) - table.num_rows
        return cls(
            model=model, rows=rows, times=times, known=delay.known_at(times), left_out=left_out
        )

    @cached_property
    def features(self) -> pd.DataFrame:
        """What a model is given."""
        made: pd.DataFrame = self.rows.features()
        return made

    @cached_property
    def truth(self) -> npt.NDArray[Any]:
        """The outcomes."""
        return np.asarray(self.rows.column(self.model.target))

    @property
    def first(self) -> datetime:
        """When the first row happened."""
        return moment(self.times.iloc[0])

    @property
    def last(self) -> datetime:
        """When the last row happened."""
        return moment(self.times.iloc[-1])

    def learnt_by(self, instant: datetime) -> Places:
        """The rows whose outcome is known."""
        return np.flatnonzero(self._known <= _instant(instant))

    def learnt_between(self, after: datetime, until: datetime) -> Places:
        """The rows whose outcome became known after one instant and by another."""
        known = (self._known > _instant(after)) & (self._known <= _instant(until))
        return np.flatnonzero(known)

    def between(self, start: datetime, end: datetime) -> Places:
        """The rows that happened from one instant to before another."""
        low, high = np.searchsorted(self._happened, [_instant(start), _instant(end)], side="left")
        return np.arange(low, high)

    # Every policy asks at every window: on plain instants, which compare a hundred times as fast.
    @cached_property
    def _happened(self) -> npt.NDArray[np.datetime64]:
        return _instants(self.times)

    @cached_property
    def _known(self) -> npt.NDArray[np.datetime64]:
        return _instants(self.known)


def as_utc(times: "pd.Series[Any]") -> "pd.Series[Any]":
    """Read times without a zone as UTC."""
    read = pd.to_datetime(times).dt.as_unit("us")
    return read.dt.tz_localize("UTC") if read.dt.tz is None else read.dt.tz_convert("UTC")


def _instants(times: "pd.Series[Any]") -> npt.NDArray[np.datetime64]:
    return np.asarray(times.dt.tz_convert("UTC").dt.tz_localize(None), dtype="datetime64[us]")


def _instant(moment: datetime) -> np.datetime64:
    return np.datetime64(moment.astimezone(UTC).replace(tzinfo=None), "us")


def moment(stamp: pd.Timestamp) -> datetime:
    """Turn a row's time into an instant."""
    return stamp.to_pydatetime().astimezone(UTC)
