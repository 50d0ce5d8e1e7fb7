"""The live endpoint: what callers send and get, what is kept, and which version answers."""

import json
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import RFC_4122, UUID

import mlflow
import numpy as np
import pandas as pd
import pytest
from starlette.testclient import TestClient

from mlops_dagster.errors import StoreError
from mlops_dagster.records import BARRED_TAG, CANARY_TAG
from mlops_dagster.scoring.loader import open_model
from mlops_dagster.serve.endpoint.answering import new_id
from mlops_dagster.serve.endpoint.app import build_app
from mlops_dagster.serve.endpoint.prediction_log import (
    PredictionLog,
    read_segment,
    seal_what_was_left,
    sealed_segments,
)
from mlops_dagster.serve.endpoint.worker import Worker
from mlops_dagster.serve.spec import EndpointSpec, ServeSpec
from mlops_dagster.stores.registry import CHAMPION
from tests.scoring.models import MODEL

NAME = MODEL.registered_name
START = datetime(2026, 1, 1, tzinfo=UTC)
ROW = {"seen": "2026-02-01T05:00:00Z", "size": 3.5}


@pytest.fixture
def champion_of_batch(bench):
    """The batch step over one waiting row, which also takes the log in."""
    from tests.serve.test_batch import SPEC, accept, as_they_are, run, step

    rows = pd.DataFrame(
        {
            "id": ["p1"],
            "seen": pd.to_datetime(["2026-02-01"], utc=True),
            "size": [1.0],
            "late": pd.array([None], dtype="float64"),
        }
    )
    return lambda: run(step(bench), SPEC, accept(bench, rows), join=as_they_are)


@pytest.fixture
def client(serving):
    with TestClient(build_app(serving()), raise_server_exceptions=False) as made:
        yield made


def test_ids_are_in_the_order_of_time_and_differ():
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    ids = [new_id(noon + timedelta(milliseconds=at)) for at in range(100)]
    assert ids == sorted(set(ids))
    assert {(UUID(one).version, UUID(one).variant) for one in ids} == {(7, RFC_4122)}
    assert len({new_id(noon) for _ in range(1_000)}) == 1_000


def kept(folder) -> list[dict]:
    seal_what_was_left(folder)
    return [record for path in sealed_segments(folder) for record in read_segment(path)]


def test_OR5_one_row_is_answered_with_its_id_and_version(client, folders):
    told = client.post("/predict", json={"rows": [ROW | {"id": "p1"}]})
    assert told.status_code == 200
    body = told.json()
    [answer] = body["predictions"]
    assert body["version"] == told.headers["X-Model-Version"] == "1"
    assert answer["id"] == f"{told.headers['X-Request-Id']}-0"
    expected = open_model(folders[0]).predict(pd.DataFrame([ROW]))
    assert answer["probability"] == expected["probability"][0]


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_split": {"columns": ["size", "seen"], "data": [[3.5, ROW["seen"]]]}},
        {"dataframe_records": [ROW]},
        {"instances": [ROW]},
        {"inputs": {"seen": [ROW["seen"]], "size": [3.5]}},
    ],
)
def test_mlflows_bodies_are_answered_alike(client, body):
    told = client.post("/invocations", json=body)
    csv = client.post(
        "/invocations",
        content=f"seen,size\n{ROW['seen']},3.5\n",
        headers={"Content-Type": "text/csv"},
    )
    assert told.status_code == csv.status_code == 200
    ours = client.post("/predict", json={"rows": [ROW]}).json()["predictions"][0]
    assert told.json()["predictions"] == csv.json()["predictions"]
    assert told.json()["predictions"] == [{k: ours[k] for k in ("prediction", "probability")}]


def test_a_thousand_rows_are_answered_alike_by_endpoint_batch_and_mlflow(client, folders):
    chance = np.random.default_rng(3)
    hours = chance.integers(0, 5_000, 1_000)
    sizes = [None if one < 0.1 else float(one * 17) for one in chance.random(1_000)]
    times = pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta(hours, unit="h")
    rows = [{"seen": t.isoformat(), "size": s} for t, s in zip(times, sizes, strict=True)]
    told = client.post("/predict", json={"rows": rows}).json()["predictions"]
    online = [one["probability"] for one in told]
    batch = open_model(folders[0]).predict(pd.DataFrame(rows))["probability"].tolist()
    plain = mlflow.pyfunc.load_model(str(folders[0])).predict(
        pd.DataFrame(rows).astype({"size": float})
    )
    assert online == batch == plain["probability"].tolist()


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("/predict", {"rows": [ROW | {"size": "abc"}]}, 422, "column 'size' is 'abc'; needed is a number"),
        ("/predict", {"rows": [ROW | {"size": [1]}]}, 422, "column 'size' is a list"),
        ("/predict", {"rows": [ROW | {"seen": "soon"}]}, 422, "column 'seen' is 'soon'; needed is a time"),
        ("/predict", {"rows": [{"seen": None, "sise": 1}]}, 422, "'size' is missing.* no column of the model: 'sise'"),
        ("/predict", {"rows": 3}, 400, "The body must be"),
        ("/predict", [], 200, ""),
        ("/invocations", {"instance": []}, 400, "Did you mean 'instances'"),
        ("/invocations", {"instances": [[1]]}, 422, "has 1 values without names; needed are 2"),
        ("/invocations", {"dataframe_split": {"columns": ["a"], "data": 1}}, 400, "`data` a list of rows"),
        ("/feedback", {"prediction_id": "x", "value": 1}, 422, "prediction_id is the `id`"),
    ],
)  # fmt: skip
def test_DP5_a_bad_payload_is_refused_and_the_column_is_named(client, path, body, status, words):
    import re

    told = client.post(path, json=body)
    assert told.status_code == status
    if words:
        assert re.search(words, told.json()["message"]), told.json()
        assert "Traceback" not in told.text


def test_bodies_that_are_no_json_or_too_much_are_refused(serving):
    with TestClient(build_app(serving(body_bytes=2_000, request_rows=3))) as client:
        assert client.post("/predict", content=b"{").status_code == 400
        assert client.post("/predict", content=b'{"rows": [{"size": NaN}]}').status_code == 400
        assert client.post("/predict", json={"rows": [ROW] * 4}).status_code == 413
        assert client.post("/predict", content=b" " * 2_001).status_code == 413
        odd = client.post("/predict", content=b"x", headers={"Content-Type": "image/png"})
        assert odd.status_code == 415
        assert client.get("/nowhere").json()["error_code"] == "NOT_FOUND"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/feedback", '{"prediction_id": "%s", "value": 1e999}' % ("0" * 32)),
        ("/predict", '{"rows": [{"seen": null, "size": 1, "id": 1e999}]}'),
        ("/predict", '{"rows": [{"seen": null, "size": 1e999, "id": 1}]}'),
    ],
)
def test_a_number_that_no_double_holds_is_refused(client, path, body):
    told = client.post(path, content=body)
    assert told.status_code == 400
    assert "1e999 is no double; write text or null" in told.json()["message"]


def test_a_bad_row_fails_alone_in_its_batch(serving):
    from mlops_dagster.scoring.questions import Question
    from mlops_dagster.serve.endpoint.answering import Answered, Asked

    worker = serving()
    worker.live.start()
    batch = [
        Asked(id=f"{at}" * 32, question=Question(rows=[ROW | {"size": size}]), came=0.0)
        for at, size in enumerate([1.0, "secret of another caller", 2.0])
    ]
    good, bad, also = worker.answering(batch)
    assert isinstance(good, Answered) and isinstance(also, Answered)  # noqa: PT018
    assert "column 'size'" in str(bad)
    assert [one["id"][0] for one in kept_by(worker)] == ["0", "2"]


def kept_by(worker: Worker) -> list[dict]:
    worker.log.seal()
    return kept(worker.folder)


def test_every_answer_is_kept_with_what_was_asked(serving):
    worker = serving(redact=["size"])
    with TestClient(build_app(worker)) as client:
        told = client.post(
            "/predict", json={"rows": [ROW | {"id": "p1"}]}, headers={"X-Request-Id": "mine"}
        ).json()
        said = client.post(
            "/feedback", json={"prediction_id": told["predictions"][0]["id"], "value": 1}
        )
        assert said.json() == {"kept": 1}
    record, feedback = kept(worker.folder)
    assert record["id"] == told["request_id"]
    assert (record["version"], record["role"], record["caller_id"]) == ("1", "live", "mine")
    assert record["columns"] == ["seen", "size"]
    assert record["rows"] == [[ROW["seen"], None]]
    assert record["named"] == {"id": ["p1"], "seen": [ROW["seen"]]}
    assert record["answer"]["probability"] == [told["predictions"][0]["probability"]]
    assert (feedback["feedback"], feedback["value"]) == (told["predictions"][0]["id"], 1)


def test_a_log_that_cannot_be_written_is_no_answer(serving):
    worker = serving()
    with TestClient(build_app(worker)) as client:
        worker.folder.write_text("a file stands where the folder must be")
        told = client.post("/predict", json={"rows": [ROW]})
        assert told.status_code == 503
        assert "cannot be written" in told.json()["message"]
        assert told.headers["Retry-After"] == "1"
        assert client.get("/health").status_code == 503
        worker.folder.unlink()
        assert client.post("/predict", json={"rows": [ROW]}).status_code == 200
        assert client.get("/health").status_code == 200


@pytest.mark.skipif(os.geteuid() == 0 and not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_ends_the_segment_at_the_last_whole_record(tmp_path):
    log = PredictionLog(tmp_path, durability="os")
    log.append([{"id": "a"}], now=0.0)
    full = os.open("/dev/full", os.O_WRONLY)
    file, log._file = log._file, full
    with pytest.raises(StoreError, match="No space left on device"):
        log.append([{"id": "b"}], now=0.0)
    log._file = file
    os.close(full)
    log.append([{"id": "c"}], now=0.0)
    log.seal()
    assert [one["id"] for one in kept(tmp_path)] == ["a", "c"]


def test_a_torn_last_line_is_skipped_and_a_damaged_whole_one_is_told(tmp_path):
    (tmp_path / "x.jsonl").write_bytes(b'{"id": "a"}\n{"id": "b"')
    assert [one["id"] for one in kept(tmp_path)] == ["a"]
    (tmp_path / "x.jsonl").write_bytes(b'{"id": \n{"id": "b"}\n')
    with pytest.raises(StoreError, match=r"line 1 of .* is damaged"):
        kept(tmp_path)


def test_a_promotion_is_followed_and_put_back_without_loading_again(serving, bench):
    worker = serving()
    with TestClient(build_app(worker)) as client:
        bench.registry.set_alias(NAME, CHAMPION, "2")
        assert client.post("/-/reload").json()["version"] == "2"
        assert client.get("/version").json()["before"] == "1"
        first = worker.live.before
        bench.registry.set_alias(NAME, CHAMPION, "1")
        client.post("/-/reload")
        assert worker.live.champion is first
        [beat] = bench.operations.workers(
            MODEL.name, "all", since=bench.clock.now().replace(year=2000)
        )
        assert beat.version == "1"
    assert (
        bench.operations.workers(MODEL.name, "all", since=bench.clock.now().replace(year=2000))
        == []
    )


def test_it_goes_on_with_what_it_has_when_the_registry_says_nothing_good(
    serving, bench, monkeypatch
):
    worker = serving()
    with TestClient(build_app(worker)) as client:
        bench.registry.delete_alias(NAME, CHAMPION)
        assert "no version with the alias" in client.post("/-/reload").json()["problem"]
        assert client.post("/predict", json={"rows": [ROW]}).status_code == 200
        pickled = bench.registry.download(bench.registry.version(NAME, "2")) / "python_model.pkl"
        content = pickled.read_bytes()
        try:
            pickled.write_bytes(b"not a model")
            bench.registry.set_alias(NAME, CHAMPION, "2")
            told = client.post("/-/reload").json()
            assert told["version"] == "1"
            assert "were changed or are incomplete" in told["problem"]
            assert client.post("/predict", json={"rows": [ROW]}).status_code == 200
        finally:
            pickled.write_bytes(content)

        def down(*_):
            raise StoreError("registry: no answer")

        monkeypatch.setattr(type(bench.registry), "by_alias", down)
        assert client.post("/-/reload").json()["problem"] == "registry: no answer"
        assert client.get("/health").status_code == 200


def test_nothing_to_serve_is_said_at_once(serving, bench):
    bench.registry.delete_alias(NAME, CHAMPION)
    with pytest.raises(StoreError, match=r"nothing can be served. .* has no version"):
        serving().start()


def test_requirements_that_are_not_met_are_named():
    from mlops_dagster.serve.endpoint.live_model import unmet_requirement

    assert unmet_requirement("pandas==0.1").startswith("it needs pandas==0.1, here is")
    assert "there is none" in unmet_requirement("no-such-thing>=1")
    assert unmet_requirement("pandas>=2") == unmet_requirement("") == ""


def test_the_challenger_scores_the_same_rows_for_the_log_alone(serving):
    worker = serving(shadow=True)
    with TestClient(build_app(worker)) as client:
        told = client.post("/predict", json={"rows": [ROW]}).json()
    live, shadow = sorted(kept(worker.folder), key=lambda one: one["role"])
    assert (live["role"], live["version"]) == ("live", "1")
    assert (shadow["role"], shadow["version"], shadow["id"]) == ("shadow", "2", live["id"])
    assert told["version"] == "1"


def test_DP1_a_stable_share_of_keys_is_answered_by_the_challenger(serving):
    worker = serving(canary=0.3)
    with TestClient(build_app(worker)) as client:

        def versions() -> list[str]:
            return [
                client.post("/predict", json={"rows": [ROW | {"id": f"p{at}"}]}).json()["version"]
                for at in range(200)
            ]

        first, again = versions(), versions()
    assert first == again
    assert 0.2 < first.count("2") / 200 < 0.4


def test_DP1_a_promotion_in_steps_moves_the_share_and_tells_how_each_side_does(serving, bench):
    worker = serving()
    with TestClient(build_app(worker)) as client:

        def ask(keys: int) -> list[str]:
            rows = [{"rows": [ROW | {"id": f"p{at}"}]} for at in range(keys)]
            return [client.post("/predict", json=one).json()["version"] for one in rows]

        assert set(ask(40)) == {"1"}
        step = {"number": 0, "share": 0.5, "since": "2026-03-01T00:00:00+00:00"}
        bench.registry.set_tags(NAME, "2", {CANARY_TAG: json.dumps(step)})
        worker.look()
        told = ask(40)
        wrong = {"id": f"p{told.index('1')}", "size": "no number"}
        assert client.post("/predict", json={"rows": [wrong]}).status_code == 422
        assert 10 < told.count("2") < 30
        worker.look()
        [beat] = bench.operations.workers(MODEL.name, "all", since=START)
        parts = {one.part: one for one in beat.traffic}
        assert (parts["canary"].version, parts["canary"].errors) == ("2", 0)
        assert parts["canary"].requests == told.count("2")
        assert parts["beside"].requests + parts["canary"].requests == 41
        assert (parts["live"].requests, parts["live"].errors) == (40 + parts["beside"].requests, 1)
        assert 0 < parts["canary"].mean < 1
        bench.registry.set_tags(NAME, "2", {BARRED_TAG: "worse"})
        worker.look()
        assert set(ask(40)) == {"1"}
        assert client.get("/version").json()["challenger"] is None


def test_a_token_is_needed_where_it_is_declared(serving):
    with TestClient(build_app(serving(), token="s3cret")) as client:
        assert client.post("/predict", json={"rows": [ROW]}).status_code == 401
        assert client.get("/health").status_code == 200
        given = {"Authorization": "Bearer s3cret"}
        assert client.post("/predict", json={"rows": [ROW]}, headers=given).status_code == 200


def test_a_token_itself_in_the_declaration_is_refused_and_nothing_is_no_token():
    assert EndpointSpec(token_from="").token_from == ""
    with pytest.raises(ValueError, match="needed is the name of an environment variable"):
        EndpointSpec(token_from="s3cret token")


@pytest.mark.parametrize(("section", "name"), [(ServeSpec, "window"), (EndpointSpec, "timeout")])
def test_a_length_of_nothing_is_refused(section, name):
    with pytest.raises(ValueError, match="greater than 0"):
        section.model_validate({name: "0s"})


def test_TE10_metrics_count_rows_and_latency_by_version(client):
    client.post("/predict", json={"rows": [ROW] * 5})
    client.post("/predict", json={"rows": 1})
    text = client.get("/metrics").text
    assert 'mlops_rows_total{role="live",version="1"} 5.0' in text
    assert 'mlops_requests_total{path="/predict",status="400"} 1.0' in text
    assert 'mlops_request_seconds_count{version="1"} 1.0' in text
    assert 'mlops_live_version{version="1"} 1.0' in text


def test_the_description_has_the_models_own_columns_and_the_page_a_field_for_each(client):
    row = client.get("/openapi.json").json()["components"]["schemas"]["Row"]
    assert row["required"] == ["seen", "size"]
    page = client.get("/").text
    assert 'name="size" data-kind="number"' in page
    assert "{{" not in page


def test_predict_wants_the_key_and_nothing_else_that_may_be_left_out(serving):
    worker = serving()
    worker.key = ("seen",)
    worker.answering = replace(worker.answering, key=worker.key)
    with TestClient(build_app(worker)) as client:
        loaded = worker.live.champion
        free = replace(loaded.schema, optional=frozenset({"seen", "size"}))
        worker.live.champion = replace(loaded, schema=free)
        assert client.get("/openapi.json").json()["components"]["schemas"]["Row"]["required"] == [
            "seen"
        ]
        refused = client.post("/predict", json={"rows": [{"size": 1.0}]})
        assert (refused.status_code, "'seen' is missing" in refused.text) == (422, True)
        assert client.post("/predict", json={"rows": [{"seen": ROW["seen"]}]}).status_code == 200
        told = client.post("/invocations", json={"dataframe_records": [{"size": 1.0}]})
        assert told.status_code == 200


def test_the_endpoint_never_loads_dagster():
    import subprocess
    import sys

    code = "import mlops_dagster.serve.endpoint.server, mlops_dagster.serve.endpoint.app, mlops_dagster.cli.serve, sys; print('dagster' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "False"


def test_keys_of_any_kind_are_taken_and_none_is_lost(serving, bench, champion_of_batch):
    keys = ["live0", 7, 2.5, True, None, ["a", 1], {"b": 2}, 10**30]
    nameless = {"seen": ROW["seen"], "size": 1.0}
    # The rows that come first have no key at all; the table must have its column all the same.
    for rows in ([nameless], [nameless, *(ROW | {"id": key} for key in keys)]):
        worker = serving()
        worker.folder = bench.serving_log(MODEL.name, "all")
        worker.log.folder = worker.folder
        with TestClient(build_app(worker)) as client:
            told = client.post("/predict", json={"rows": rows})
            assert told.status_code == 200, told.text
        champion_of_batch()
    table = bench.tables.read(f"{MODEL.address}/predictions").to_pandas()
    live = table[table["role"] == "live"].set_index("prediction_id")
    assert len(live) == 2 + len(keys)
    ids = [live.loc[one["id"], "id"] for one in told.json()["predictions"]]
    assert ids[1:5] == ["live0", "7", "2.5", "true"]
    assert pd.isna(pd.Series([ids[0], *ids[5:8]])).all()
    assert not sealed_segments(worker.folder)


def test_answers_about_any_year_are_taken_in(serving, bench, champion_of_batch):
    worker = serving()
    worker.folder = worker.log.folder = bench.serving_log(MODEL.name, "all")
    rows = [
        ROW | {"id": seen, "seen": seen} for seen in ("9999-12-31T00:00:00Z", "0001-01-02T00:00Z")
    ]
    with TestClient(build_app(worker)) as client:
        told = client.post("/predict", json={"rows": rows}).json()["predictions"]
        for item, time in zip(told, ("9999-12-31T00:00:00Z", "0001-01-01T00:00:00Z"), strict=True):
            given = {"prediction_id": item["id"], "value": None, "time": time}
            assert client.post("/feedback", json=given).json() == {"kept": 1}
    assert "2 live answers taken from the log" in champion_of_batch().because
    assert bench.tables.latest(f"{MODEL.address}/feedback").ref.rows == 2


def test_CO2_live_answers_are_in_the_table_once_with_what_was_asked_and_learnt(
    serving, bench, champion_of_batch
):
    worker = serving()
    worker.folder = bench.serving_log(MODEL.name, "all")
    worker.log.folder = worker.folder
    with TestClient(build_app(worker)) as client:
        rows = [ROW | {"id": f"live{at}", "size": float(at)} for at in range(5)]
        told = client.post("/predict", json={"rows": rows}).json()["predictions"]
        client.post("/feedback", json={"prediction_id": told[0]["id"], "value": 1})
    [segment] = sealed_segments(worker.folder)
    torn = segment.with_name("torn.jsonl")
    torn.write_bytes(segment.read_bytes() + b'{"id": "half')
    record = champion_of_batch()
    assert "5 live answers" not in record.because
    assert "10 live answers taken from the log" in record.because
    table = bench.tables.read(f"{MODEL.address}/predictions").to_pandas()
    live = table[table["role"] == "live"].sort_values("id", ignore_index=True)
    assert live["prediction_id"].tolist() == [one["id"] for one in told]
    assert live["id"].tolist() == [f"live{at}" for at in range(5)]
    assert live["probability"].tolist() == [one["probability"] for one in told]
    assert json.loads(live["inputs"][4]) == {"seen": ROW["seen"], "size": 4.0}
    assert set(live["window"]) == {"2026-02-01T00:00:00Z"}
    [found] = bench.tables.find(
        f"{MODEL.address}/predictions", "prediction_id", told[3]["id"]
    ).to_pylist()
    assert (found["id"], found["model_version"]) == ("live3", "1")
    assert not sealed_segments(worker.folder)
    [feedback] = bench.tables.read(f"{MODEL.address}/feedback").to_pylist()
    assert (feedback["prediction_id"], feedback["value"]) == (told[0]["id"], "1")
