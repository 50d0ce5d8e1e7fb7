"""The load test: a real endpoint, driven by a real client process, in short runs."""

import json
import threading
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import click
import pytest
from click.testing import CliRunner

from mlops_dagster.cli.load_test import refuse_a_slow_start
from mlops_dagster.cli.main import main
from mlops_dagster.errors import StoreError
from mlops_dagster.serve.load_test.client import Plan, drive
from mlops_dagster.serve.load_test.run import Asking, find_largest, own_endpoint
from mlops_dagster.stores.registry import CHAMPION
from tests.scoring.models import MODEL, register


@pytest.fixture
def other_server():
    """A server that is no endpoint: it answers every third request with 503."""
    count = iter(range(10**9))

    class Answers(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(503 if next(count) % 3 == 0 else 200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def do_GET(self):
            self.do_POST() if "Content-Length" in self.headers else self.send_error(404)

        def log_message(self, *_):
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_GO1_a_table_a_picture_and_figures_that_agree_and_DP4_the_cold_start_is_budgeted(
    bench, folders, monkeypatch
):
    register(bench, folders[0], run="r1", alias=CHAMPION)
    monkeypatch.setenv("MLOPS_HOME", str(bench.home))
    monkeypatch.setenv("MLOPS_CLOCK", "wall")
    options = ["--seconds", "0.3", "--within", "5", "--cold-start-budget", "0.1s"]
    told = CliRunner().invoke(main, ["load-test", MODEL.name, *options])
    assert told.exit_code == 1, told.output
    assert "the budget is 0.1s" in told.stderr

    [path] = bench.home.glob(f"load_test/{MODEL.name}/all/*.json")
    assert path.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    kept = json.loads(path.read_text())
    assert (kept["model"], kept["version"]) == (MODEL.registered_name, "1")
    assert kept["cold_start_s"] > 0.1
    assert [(one["rows"], one["clients"]) for one in kept["levels"]] == [
        (rows, clients) for rows in (1, 100) for clients in (1, 8, 32)
    ]
    for one in kept["levels"]:
        assert one["errors"] == {}
        assert one["requests_per_second"] == pytest.approx(one["answers"] / one["seconds"])
        assert one["rows_per_second"] == pytest.approx(one["rows"] * one["requests_per_second"])
        assert 0 < one["p50_ms"] <= one["p95_ms"] <= one["p99_ms"]
        assert one["cpu"] > 0
        assert f"{one['requests_per_second']:,.0f}" in told.output
    assert 0 < kept["largest"]["rows"] <= 10_000
    assert f"largest batch: {kept['largest']['rows']:,} rows" in told.output


def test_a_load_test_leaves_nothing_that_could_be_taken_for_real_answers(
    bench, folders, monkeypatch
):
    register(bench, folders[0], run="r1", alias=CHAMPION)
    long_ago = bench.clock.now().replace(year=2000)
    monkeypatch.setenv("MLOPS_HOME", str(bench.home))
    monkeypatch.setenv("MLOPS_CLOCK", "wall")
    with own_endpoint(MODEL.name, home=bench.home) as endpoint:
        assert Asking.learn(endpoint.url).once(3, timeout_s=30)[0] == 200
        assert bench.operations.workers(MODEL.name, "all", since=long_ago) == []
    assert not bench.serving_log(MODEL.name, "all").exists()
    assert not list(bench.home.glob("load-test-*"))


def test_DP4_the_budget_is_the_longest_start_that_passes():
    refuse_a_slow_start("churn", 9.9, timedelta(seconds=10))
    refuse_a_slow_start("churn", None, timedelta(seconds=10))
    with pytest.raises(click.ClickException, match=r"churn: the cold start took 10\.1 s.* 10s"):
        refuse_a_slow_start("churn", 10.1, timedelta(seconds=10))


def test_a_budget_without_a_start_or_a_unit_is_refused():
    asked = ["load-test", "churn", "--url", "http://127.0.0.1:1", "--cold-start-budget", "1s"]
    told = CliRunner().invoke(main, asked)
    assert told.exit_code == 2
    assert "leave --url out" in told.stderr
    told = CliRunner().invoke(main, ["load-test", "churn", "--cold-start-budget", "10"])
    assert told.exit_code == 2
    assert "'10' is no length of time such as 10s" in told.stderr


def test_answers_that_are_no_200_are_errors_by_status_and_not_counted_as_fast(other_server):
    seen = drive(Plan(url=f"{other_server}/x", body="{}", clients=2, seconds=0.3, warm_up_s=0))
    assert set(seen.errors) == {"503"}
    assert seen.answers == pytest.approx(2 * seen.errors["503"], abs=2)


def test_a_server_that_is_no_endpoint_or_not_there_is_named(other_server):
    with pytest.raises(StoreError, match="does not describe a model"):
        Asking.learn(other_server)
    told = CliRunner().invoke(main, ["load-test", "churn", "--url", "http://127.0.0.1:1"])
    assert (
        "nobody answers at http://127.0.0.1:1. Start it: mlops-dagster serve churn" in told.stderr
    )
    seen = drive(Plan(url="http://127.0.0.1:1/x", body="{}", clients=1, seconds=0.1, warm_up_s=0))
    assert (seen.answers, set(seen.errors)) == (0, {"ConnectionRefusedError"})


@pytest.mark.parametrize("limit", [1, 2, 777, 9_999])
def test_the_largest_batch_is_found_to_within_a_tenth(limit):
    found = find_largest(lambda n: (n / 1000, "" if n <= limit else "too long"), most=10_000)
    assert limit / 1.1 - 1 <= found.rows <= limit
    assert found.seconds == found.rows / 1000
    assert "too long" in found.because


def test_an_endpoint_that_takes_its_most_says_so():
    found = find_largest(lambda n: (0.5, ""), most=10_000)
    assert (found.rows, found.because) == (10_000, "the endpoint takes no more in a request")
