"""What many tests need: a home with its own stores, and a small fitted model."""

import os
import shutil
import signal
import socket
from pathlib import Path
from uuid import uuid4

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa

from mlops_dagster.clock import ReplayClock
from mlops_dagster.workbench import Workbench

SERVER = sa.URL.create(
    "postgresql+psycopg", username="postgres", host="127.0.0.1", port=5432, database="test"
)


def pytest_configure() -> None:
    """Let children be ended: a suite in the background ignores SIGINT, and Dagster then SIGTERM too."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Without a PostgreSQL server its tests are skipped at a desk, and fail where CI asks for them."""
    if item.get_closest_marker("postgres") is None or postgres_answers():
        return
    told = (
        "no PostgreSQL at 127.0.0.1:5432 that trusts user postgres; "
        "start it with `pg_ctlcluster <version> main start`"
    )
    if os.environ.get("CI"):
        pytest.fail(told)
    pytest.skip(told)


def postgres_answers() -> bool:
    with socket.socket() as asked:
        asked.settimeout(2)
        return asked.connect_ex(("127.0.0.1", 5432)) == 0


@pytest.fixture(scope="session")
def home_template(tmp_path_factory) -> Path:
    """A home whose MLflow database exists: making one takes seconds, copying it does not."""
    home = tmp_path_factory.mktemp("template") / "home"
    Workbench(home=home).registry.versions("nothing")
    return home


@pytest.fixture
def home(home_template, tmp_path) -> Path:
    """An own home for one test."""
    target = tmp_path / "home"
    shutil.copytree(home_template, target)
    return target


@pytest.fixture
def bench(home) -> Workbench:
    """The stores of an own home, under a clock that stands at the start of March 2026."""
    clock = ReplayClock(home / "clock")
    clock.set(pd.Timestamp("2026-03-01", tz="UTC").to_pydatetime())
    return Workbench(home=home, clock=clock)


@pytest.fixture(scope="session")
def points() -> pd.DataFrame:
    """Two hundred rows with a key, a time and a target that follows one of two columns."""
    chance = np.random.default_rng(7)
    size = chance.normal(size=200)
    return pd.DataFrame(
        {
            "id": range(200),
            "seen": pd.date_range("2026-01-01", periods=200, freq="6h", tz="UTC"),
            "size": size,
            "kind": chance.choice(["a", "b", "c"], 200),
            "late": (size + chance.normal(scale=0.5, size=200) > 0).astype(float),
        }
    )


@pytest.fixture
def postgres():
    """Make an empty PostgreSQL database of one's own; give its address."""
    name = f"test_{uuid4().hex}"
    admin = sa.create_engine(SERVER, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with admin.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    yield SERVER.set(database=name).render_as_string(hide_password=False)
    with admin.connect() as connection:
        connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
