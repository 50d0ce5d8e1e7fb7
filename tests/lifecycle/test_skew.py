"""`skew-check` on a whole life: second tables as they were known at the row's time, from the command line."""

import json

import dagster as dg
import pandas as pd
import pytest
from click.testing import CliRunner
from starlette.testclient import TestClient

from mlops_dagster.cli.main import main
from mlops_dagster.serve.endpoint.app import build_app
from mlops_dagster.serve.endpoint.server import Listening, worker_of
from tests.lifecycle.small import Scene, cancer, cancer_spec, check_results


@pytest.fixture
def scene(bench, tmp_path, monkeypatch):
    """Breast cancer beside a second table whose value changes every day and is known a day later."""
    table = cancer().assign(ward=lambda rows: [f"w{place % 3}" for place in range(len(rows))])
    table.to_csv(tmp_path / "cancer.csv", index=False)
    days = pd.date_range("2025-12-25", "2026-02-10", tz="UTC")
    load = pd.DataFrame(
        [
            {"ward": ward, "at": day, "told": day + pd.Timedelta(days=1), "beds": number * 10 + 1.5}
            for ward in ("w0", "w1", "w2")
            for number, day in enumerate(days)
        ]
    )
    load.to_csv(tmp_path / "load.csv", index=False)
    source = {"kind": "file", "path": str(tmp_path / "cancer.csv")}
    lookup = {
        "kind": "file",
        "path": str(tmp_path / "load.csv"),
        "key": ["ward"],
        "event_time": "at",
        "known_at": "told",
    }
    spec = cancer_spec(
        tmp_path / "cancer.csv",
        ingest={"source": source, "cursor": "seen", "lookups": {"load": lookup}},
    )
    (tmp_path / "workspace.yaml").write_text("load_from: []\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLOPS_HOME", str(bench.home))
    monkeypatch.setenv("MLOPS_CLOCK", bench.clock.address)
    with dg.instance_for_test() as instance:
        yield Scene(spec, bench, instance), table, load


def questions(table, load, places):
    """Ask as a careful caller does: with the beds that were known when the row happened."""
    asked = []
    for _, row in table.iloc[list(places)].iterrows():
        known = load[(load["ward"] == row["ward"]) & (load["told"] <= row["seen"])]
        told = row.drop("target").to_dict() | {"load_beds": float(known.iloc[-1]["beds"])}
        asked.append(told | {"seen": row["seen"].isoformat()})
    return asked


def test_FS3_skew_check_shows_the_rows_that_differ_and_monitoring_tells(scene):
    life, table, load = scene
    assert life.run("lifecycle").success
    asked = questions(table, load, range(100, 150))
    for place in (3, 20, 41):
        # A day too new: what the caller reads is not known yet at the row's own time.
        asked[place]["load_beds"] += 10.0
    with TestClient(build_app(worker_of(life.bench, Listening(model="cancer")))) as client:
        answered = client.post("/predict", json={"rows": asked}).json()["predictions"]
    first = CliRunner().invoke(main, ["skew-check", "cancer"])
    assert first.exit_code == 1
    assert "no live answers. 1 segment(s) of the endpoint's log wait" in first.output
    assert life.run("score").success
    told = CliRunner().invoke(main, ["skew-check", "cancer", "--json"])
    assert told.exit_code == 1, told.output
    found = json.loads(told.output)
    assert (found["answers"], found["compared"], found["differing"]) == (50, 50, 3)
    skewed = {one["feature"]: one for one in found["features"] if one["differing"]}
    assert list(skewed) == ["load_beds"]
    planted = {answered[place]["id"]: asked[place] for place in (3, 20, 41)}
    examples = {one["prediction_id"]: one for one in skewed["load_beds"]["examples"]}
    assert examples.keys() == planted.keys()
    for name, one in examples.items():
        assert one["key"] == {"id": planted[name]["id"]}
        assert one["served"] == planted[name]["load_beds"]
        assert one["recomputed"] == one["served"] - 10.0
    text = CliRunner().invoke(main, ["skew-check", "cancer"]).output
    assert "cancer: 50 of 50 live answers" in text
    assert text.count("  version 1: served") == 3
    seen = check_results(life.run("monitor"))["feature_skew"]
    assert not seen.passed
    assert "load_beds in 3 (6.0%)" in seen.description
    late = CliRunner().invoke(main, ["skew-check", "cancer", "--since", "2100-01-01"])
    assert (late.exit_code, "no live answers since 2100-01-01" in late.output) == (1, True)
    wrong = CliRunner().invoke(main, ["skew-check", "cancer", "--since", "soon"])
    assert "'soon' is no time" in wrong.output
