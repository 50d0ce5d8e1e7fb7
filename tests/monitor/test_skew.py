"""What callers sent is held against the lake, answer by answer, with real stores and a real endpoint."""

import json
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from starlette.testclient import TestClient

from mlops_dagster.monitor.served import Lake
from mlops_dagster.monitor.skew import differences
from mlops_dagster.monitor.skew_check import check_skew
from mlops_dagster.monitor.spec import SkewSpec
from mlops_dagster.monitor.watch_skew import watch_skew
from mlops_dagster.records import SERVING_TAG, Outcome
from mlops_dagster.scoring.loader import load_verified
from mlops_dagster.serve.endpoint.app import build_app
from mlops_dagster.serve.endpoint.server import Listening, worker_of
from mlops_dagster.stores.registry import CHAMPION
from mlops_dagster.stores.schemas import as_kind
from tests.scoring.models import MODEL, artifact_of, register, save, user_package
from tests.serve.test_batch import SPEC, accept, as_they_are, run, step

AT = datetime(2026, 3, 2, tzinfo=UTC)


@pytest.fixture(scope="module")
def folders(points, tmp_path_factory):
    """Two versions whose feature code differs: sizes doubled, and sizes times five."""
    place, made = tmp_path_factory.mktemp("skewed"), []
    for number, factor in enumerate((2.0, 5.0)):
        name = f"skewpkg{number}"
        function = user_package(place / name, name=name, factor=factor)
        made.append(save(artifact_of(points, function), place / f"m{number}", points, package=name))
    return made


class Served:
    """A home with accepted rows, a version that serves, and callers."""

    def __init__(self, bench, points, folders) -> None:
        self.bench, self.points, self.folders = bench, points, folders
        self.accepted = accept(bench, points)

    def serve(self, number: int, *, redact=()) -> str:
        serving = {"key": ["id"], "event_time": "seen", "endpoint": {"redact": list(redact)}}
        tags = {SERVING_TAG: json.dumps(serving)}
        return register(
            self.bench, self.folders[number], run=f"r{number}", alias=CHAMPION, tags=tags
        )

    def rows(self, count: int) -> list[dict]:
        """The rows of the lake as a caller sends them, without the target."""
        rows = self.points.head(count)[["id", "seen", "size"]]
        return rows.assign(seen=rows["seen"].map(pd.Timestamp.isoformat)).to_dict("records")

    def ask(self, rows: list[dict]) -> list[str]:
        """Ask the endpoint, and take its log into the table; give the ids of the answers."""
        worker = worker_of(self.bench, Listening(model=MODEL.name))
        with TestClient(build_app(worker)) as client:
            told = client.post("/predict", json={"rows": rows})
        assert told.status_code == 200, told.text
        run(step(self.bench), SPEC, self.accepted, join=as_they_are)
        return [one["id"] for one in told.json()["predictions"]]

    @property
    def lake(self) -> Lake:
        return Lake(
            bench=self.bench,
            model=MODEL,
            validated=self.accepted,
            join=lambda rows: rows,
            load=load_verified,
        )


@pytest.fixture
def served(bench, points, folders) -> Served:
    return Served(bench, points, folders)


def by_name(skew) -> dict:
    return {one.feature: one for one in skew.features}


def test_FS3_three_planted_rows_of_fifty_are_found_with_exactly_their_ids(served):
    served.serve(0)
    rows = served.rows(50)
    planted = (4, 17, 33)
    for place in planted:
        rows[place]["size"] += 0.25
    ids = served.ask(rows)
    skew = check_skew(served.lake, newest=1_000)
    assert (skew.answers, skew.compared, skew.differing) == (50, 50, 3)
    found = by_name(skew)
    assert (found["hour"].compared, found["hour"].differing, found["hour"].largest) == (50, 0, None)
    for name, factor in (("size", 1), ("size2", 2)):
        assert found[name].differing == 3
        assert found[name].share == pytest.approx(0.06)
        assert found[name].largest == pytest.approx(0.25 * factor)
        examples = {one.prediction_id: one for one in found[name].examples}
        assert set(examples) == {ids[place] for place in planted}
        for place in planted:
            one, kept = examples[ids[place]], served.points["size"][place]
            assert one.key == {"id": place}
            assert one.served == (kept + 0.25) * factor
            assert one.recomputed == kept * factor


def test_rows_as_the_lake_has_them_differ_nowhere(served):
    served.serve(0)
    served.ask(served.rows(50))
    skew = check_skew(served.lake, newest=1_000)
    assert (skew.compared, skew.differing, skew.worst) == (50, 0, ())
    look = watch_skew(served.lake, SkewSpec(), at=AT, version="1")
    assert look.findings[0].outcome is look.checks[0].outcome is Outcome.PASSED


def test_each_version_is_compared_by_its_own_feature_code(served):
    served.serve(0)
    served.ask(served.rows(10))
    served.serve(1)
    rows = served.rows(10)
    rows[3]["size"] += 1.0
    last = served.ask(rows)
    skew = check_skew(served.lake, newest=1_000)
    assert (skew.answers, skew.compared, skew.differing) == (20, 20, 1)
    [example] = by_name(skew)["size2"].examples
    assert (example.prediction_id, example.version) == (last[3], "2")
    assert example.apart == pytest.approx(5.0)


def test_answers_that_cannot_be_compared_are_counted_with_the_reason(served):
    served.serve(0)
    rows = served.rows(5)
    rows[1]["id"], rows[2]["id"] = 9_999, 10_000
    served.ask(rows[1:])
    served.ask([{name: value for name, value in rows[0].items() if name != "id"}])
    skew = check_skew(served.lake, newest=1_000)
    assert (skew.answers, skew.compared) == (5, 2)
    assert skew.not_compared == {"the key is not in the lake": 2, "no key in the inputs": 1}


def test_keys_are_read_as_the_lake_has_them_and_what_has_no_such_form_is_null():
    read = as_kind(["7", 8, 9.0, 9.5, "x", None], pa.int64()).to_pylist()
    assert read == [7, 8, 9, None, None, None]
    day = pa.timestamp("us", "UTC")
    [told] = as_kind(["2026-01-01T05:00:00Z"], day).to_pylist()
    assert told == datetime(2026, 1, 1, 5, tzinfo=UTC)


def test_a_version_that_is_gone_is_told_and_no_skew(served):
    import mlflow

    served.serve(0)
    served.ask(served.rows(4))
    served.serve(1)
    client = mlflow.MlflowClient(registry_uri=served.bench.mlflow_address)
    client.delete_model_version(MODEL.registered_name, "1")
    skew = check_skew(served.lake, newest=1_000)
    assert (skew.answers, skew.compared) == (4, 0)
    assert skew.not_compared == {"version 1 is gone from the registry": 4}
    look = watch_skew(served.lake, SkewSpec(), at=AT, version="2")
    assert look.findings[0].outcome is Outcome.NOT_APPLICABLE
    assert look.findings[0].value is None


def test_what_is_redacted_is_told_and_never_counted_as_skew(served):
    served.serve(0, redact=["size"])
    rows = served.rows(20)
    rows[6]["seen"] = "2026-01-01T23:30:00+00:00"
    served.ask(rows)
    skew = check_skew(served.lake, newest=1_000)
    found = by_name(skew)
    for name in ("size", "size2"):
        assert (found[name].compared, found[name].differing, found[name].redacted) == (0, 0, 20)
    assert (found["hour"].compared, found["hour"].differing, found["hour"].redacted) == (20, 1, 0)
    assert skew.differing == 1


def test_a_redacted_key_is_told(served):
    served.serve(0, redact=["id"])
    served.ask(served.rows(3))
    skew = check_skew(served.lake, newest=1_000)
    assert skew.not_compared == {"the key is redacted": 3}


def test_an_input_that_the_lake_lost_is_told(served):
    served.serve(0)
    served.ask(served.rows(3))
    served.accepted = accept(served.bench, served.points.drop(columns="size"))
    skew = check_skew(served.lake, newest=1_000)
    assert skew.not_compared == {"version 1 is given size, which the lake lacks": 3}


def test_single_precision_in_the_lake_is_no_skew(served):
    served.serve(0)
    rows = served.rows(5)
    for row in rows:
        row["size"] = 0.1
    served.ask(rows)
    single = served.points.assign(size=np.float32(0.1))
    served.accepted = accept(served.bench, single)
    assert check_skew(served.lake, newest=1_000).differing == 0


def test_only_the_newest_answers_are_compared_and_none_is_said(served):
    assert check_skew(served.lake, newest=10) is None
    none = watch_skew(served.lake, SkewSpec(), at=AT, version=None)
    assert (none.findings, none.checks[0].outcome) == ([], Outcome.NOT_APPLICABLE)
    served.serve(0)
    old = served.rows(8)
    for row in old:
        row["size"] += 1
    served.ask(old)
    served.ask(served.rows(5))
    skew = check_skew(served.lake, newest=5)
    assert (skew.answers, skew.differing) == (5, 0)
    later = check_skew(served.lake, newest=100, since=skew.first)
    assert (later.answers, later.differing) == (5, 0)


def test_monitoring_finds_skew_warns_and_shows_the_rows(served):
    served.serve(0)
    rows = served.rows(10)
    rows[2]["size"] = 7.5
    ids = served.ask(rows)
    look = watch_skew(served.lake, SkewSpec(newest=10), at=AT, version="1")
    [finding], [check] = look.findings, look.checks
    assert (finding.signal, finding.outcome, finding.rows) == (
        "feature_skew",
        Outcome.REFUSED,
        10,
    )
    assert finding.value == pytest.approx(0.1)
    assert check.severity == "warning"
    assert "1 of 10 live answers" in check.because
    assert "size in 1 (10.0%)" in check.because
    assert ids[2] in look.shown["skew"].value


@pytest.mark.parametrize(
    ("served", "recomputed", "differ"),
    [
        ([0.1 + 0.2, 1e20, None], [0.3, 1e20, None], [False, False, False]),
        ([1.0, 1.0, None], [1.0 + 1e-9, None, 1.0], [True, True, True]),
        ([True, False, None], [1.0, 0.0, None], [False, False, False]),
        (["a", None, "b"], ["a", None, "c"], [False, False, True]),
        ([None, None], ["a", None], [True, False]),
        ([float("inf"), 1.0], [float("inf"), float("inf")], [False, True]),
        (["1"], [1.0], [True]),
    ],
)
def test_null_equals_null_and_only_the_last_digits_of_a_number_may_differ(
    served, recomputed, differ
):
    found, _ = differences(pd.Series(served, dtype=object), pd.Series(recomputed, dtype=object))
    assert found.tolist() == differ


def test_numbers_of_any_type_are_compared_as_numbers():
    whole = pd.Series([1, 2], dtype="Int64")
    found, apart = differences(whole, pd.Series([1.0, 2.5]))
    assert (found.tolist(), apart.tolist()) == ([False, True], [0.0, 0.5])
    kinds = pd.Series(["a", "b"], dtype="category")
    assert differences(kinds, pd.Series(["a", "c"]))[0].tolist() == [False, True]
