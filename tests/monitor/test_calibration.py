"""Expected alarms: windows of the history judged against the others, by the code of monitor."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pytest

from mlops_dagster.monitor.calibration import expected_alarms
from mlops_dagster.monitor.calibration_picture import draw
from mlops_dagster.monitor.spec import DriftSpec
from mlops_dagster.profiles.tables import profile_of, profile_windows

SPEC = DriftSpec(window=timedelta(days=7))
RATES = (0.01, 0.05)


def history(*, windows: int = 40, size: int = 400, odd: int = 0):
    """Weeks of rows; the last `odd` of them moved by a whole deviation."""
    chance = np.random.default_rng(11)
    moved = np.repeat(np.arange(windows) >= windows - odd, size)
    rows = pa.table(
        {
            "delay": chance.normal(size=windows * size) + moved,
            "origin": chance.choice(["a", "b", "c"], size=windows * size),
        }
    )
    whole = profile_of(rows)
    numbers = pa.array(np.repeat(np.arange(windows), size))
    cut = profile_windows(rows, window_of=numbers, edges_from=whole)
    return replace(whole, windows=tuple(cut.values()))


def test_TE9_a_quiet_history_expects_few_alarms_and_says_how_sure_that_is():
    strict, loose = expected_alarms(history(), SPEC, RATES)
    assert (strict.judged, strict.false_alarms) == (40, 0.01)
    assert strict.alarming <= loose.alarming <= 4
    assert strict.per_month == pytest.approx(strict.alarming / 40 * 30.4375 / 7)
    assert strict.per_month < strict.at_most < 1.2


def test_TE9_windows_that_were_different_alarm_and_their_column_is_named():
    [found] = expected_alarms(history(odd=1), SPEC, (0.01,))
    assert found.alarming >= 1
    assert found.asking >= 1
    assert found.columns[0] == "delay"


def test_TE9_too_few_windows_are_said_and_never_a_promise_of_quiet(tmp_path):
    [found] = expected_alarms(history(windows=12), SPEC, (0.01,))
    assert found.judged == 0
    assert "12 of 12 complete windows have 300 rows; at least 20 are needed" in found.too_few


def test_TE9_the_settings_are_a_picture(tmp_path):
    found = list(expected_alarms(history(), SPEC, RATES))
    draw(found, tmp_path / "alarms.png", title="shop")
    assert (tmp_path / "alarms.png").read_bytes().startswith(b"\x89PNG")
