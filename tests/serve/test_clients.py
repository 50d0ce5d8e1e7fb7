"""MLflow's own client and `curl` against a real endpoint."""

import json
import shutil
import subprocess
from urllib.parse import urlsplit

import pytest
from mlflow.pyfunc.scoring_server.client import ScoringServerClient

from mlops_dagster.scoring.loader import open_model

ROW = {"seen": "2026-02-01T05:00:00+00:00", "size": 3.5}
JSON, CSV = "application/json", "text/csv"
BODIES = {
    "dataframe_split": (JSON, {"columns": ["size", "seen"], "data": [[3.5, ROW["seen"]]]}),
    "dataframe_records": (JSON, [ROW]),
    "instances": (JSON, [ROW]),
    "inputs": (JSON, {"seen": [ROW["seen"]], "size": [3.5]}),
    "csv": (CSV, f"seen,size\n{ROW['seen']},3.5\n"),
}


@pytest.fixture
def client(address):
    """MLflow's client, once it was answered."""
    url = urlsplit(address)
    made = ScoringServerClient(url.hostname, url.port)
    made.wait_server_ready(timeout=30)
    return made


def test_mlflows_client_asks_about_frames_as_it_does_of_mlflow_models_serve(
    client, points, folders
):
    rows = points[["seen", "size"]].head(20)
    told = client.invoke(rows.assign(seen=rows["seen"].dt.strftime("%Y-%m-%dT%H:%M:%SZ")))
    answers, expected = told.get_predictions(), open_model(folders[0]).predict(rows)
    assert answers["probability"].tolist() == expected["probability"].tolist()
    assert answers.columns.tolist() == ["prediction", "probability"]


def test_mlflows_client_reads_times_as_it_writes_them(client, points, folders):
    rows = points[["seen", "size"]].head(3)
    told = client.invoke(rows).get_predictions()
    expected = open_model(folders[0]).predict(rows)
    assert told["probability"].tolist() == expected["probability"].tolist()


def test_mlflows_client_is_told_the_version(client):
    assert json.loads(client.get_version())["version"] == "1"


def test_mlflows_client_says_what_is_wrong_with_a_row(client, points):
    bad = points[["seen", "size"]].head(1).assign(size="large")
    with pytest.raises(Exception, match=r"error code 422, response: .*column 'size' is 'large'"):
        client.invoke(bad)


def curl(*arguments: str) -> tuple[int, str]:
    """Call `curl`; give the status and the body."""
    command = [shutil.which("curl"), "-sS", "--noproxy", "*", "-w", "\n%{http_code}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    body, _, status = done.stdout.rpartition("\n")
    return int(status), body


pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")


@pytest.mark.parametrize("name", BODIES)
def test_curl_asks_in_every_format_of_mlflow(address, folders, name):
    import pandas as pd

    media, given = BODIES[name]
    body = given if isinstance(given, str) else json.dumps({name: given})
    status, told = curl(
        f"{address}/invocations", "-H", f"Content-Type: {media}", "--data-binary", body
    )
    expected = open_model(folders[0]).predict(pd.DataFrame([ROW]))
    assert status == 200, told
    assert json.loads(told) == {"predictions": expected.to_dict(orient="records")}


def test_curl_asks_with_no_more_than_a_row(address):
    status, told = curl(f"{address}/predict", "--json", json.dumps(ROW))
    assert status == 200, told
    assert json.loads(told)["predictions"][0].keys() == {"id", "prediction", "probability"}


@pytest.mark.parametrize("path", ["ping", "health", "version", "metrics", "openapi.json", ""])
def test_curl_gets_every_other_path(address, path):
    assert curl(f"{address}/{path}")[0] == 200
