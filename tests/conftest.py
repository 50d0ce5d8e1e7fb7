"""What many tests need: a home with its own stores, and a small fitted model."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlops_dagster.clock import ReplayClock
from mlops_dagster.workbench import Workbench


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
