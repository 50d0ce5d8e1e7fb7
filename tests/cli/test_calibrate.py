"""`mlops-dagster calibrate`: the settings as people read them."""

from datetime import timedelta

import pandas as pd
import pyarrow as pa

from mlops_dagster.cli.calibrate import judged, lengths, table
from mlops_dagster.monitor.spec import DriftSpec
from tests.lifecycle.small import cancer_spec

DAY = timedelta(days=1)


def test_TE9_the_declared_setting_is_among_the_usual_ones_and_marked(tmp_path):
    spec = cancer_spec(tmp_path / "cancer.csv")
    assert lengths(spec, ()) == [DAY, 2 * DAY, 7 * DAY, 14 * DAY]
    assert lengths(spec, ("3d",)) == [3 * DAY]
    hours = pd.date_range("2026-01-01", periods=24 * 60 * 10, freq="6min", tz="UTC")
    rows = pd.DataFrame({"size": [float(place % 97) for place in range(len(hours))]})
    found = judged(
        rows, pa.chunked_array([pa.array(hours)]), DriftSpec(window=2 * DAY), [0.01, 0.05]
    )
    lines = table(spec, found).splitlines()
    assert lines[1].split() == ["2d", "0.01", "29", "0", "0.0", "1.8", "0.0", "<-", "declared"]
    assert lines[2].split()[:4] == ["2d", "0.05", "29", "0"]


def test_TE9_a_history_too_short_to_judge_says_so(tmp_path):
    hours = pd.date_range("2026-01-01", periods=900, freq="h", tz="UTC")
    rows = pd.DataFrame({"size": [float(place % 97) for place in range(len(hours))]})
    found = judged(rows, pa.chunked_array([pa.array(hours)]), DriftSpec(window=DAY), [0.01])
    told = table(cancer_spec(tmp_path / "cancer.csv"), found)
    assert "not applicable: 0 of 37 complete windows have 300 rows; at least 20 are needed" in told
