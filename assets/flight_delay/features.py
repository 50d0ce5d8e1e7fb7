"""What the model is given, made from the rows it is asked about. The same code answers online."""

import numpy as np
import pandas as pd

# Hours behind UTC in winter; no flight leaves in the hour around midnight that summer time would move.
NEW_YORK = pd.Timedelta(hours=5)


def calendar(flights: pd.DataFrame) -> pd.DataFrame:
    """Add the local time of day and the weekday."""
    scheduled = flights["scheduled_departure"]
    return flights.assign(
        minute_of_day=flights["local_hour"] * 60 + flights["local_minute"],
        weekday=(scheduled - NEW_YORK).dt.weekday.astype("float64"),
    ).drop(columns=["local_hour", "local_minute"])


def weather(flights: pd.DataFrame) -> pd.DataFrame:
    """Add the spread of the dew point (fog) and the wind's parts from north and west."""
    towards = np.deg2rad(flights["weather_wind_dir"])
    speed = flights["weather_wind_speed"]
    return flights.assign(
        dew_spread=flights["weather_temp"] - flights["weather_dewp"],
        wind_north=speed * np.cos(towards),
        wind_west=-speed * np.sin(towards),
    ).drop(columns=["weather_wind_dir"])
