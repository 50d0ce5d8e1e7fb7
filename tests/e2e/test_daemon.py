"""The real daemon, the real web server: new rows at the source start exactly one run."""

import json
import signal
import socket
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from mlops_dagster.clock import wall_now

pytestmark = pytest.mark.e2e

ASSETS = """{ assetNodes { assetKey { path } description owners { ... on TeamAssetOwner { team } }
  assetChecksOrError { ... on AssetChecks { checks { name } } }
  assetMaterializations(limit: 1) { metadataEntries { label } } } }"""


def free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return int(opened.getsockname()[1])


def until(told: Callable[[], object], *, seconds: int, what: str) -> object:
    """Ask again and again until there is an answer."""
    end, pause = wall_now() + timedelta(seconds=seconds), threading.Event()
    while wall_now() < end:
        if answer := told():
            return answer
        pause.wait(1.0)
    raise AssertionError(f"{what}: not within {seconds} s")


@pytest.fixture
def server(project) -> Iterator[str]:
    """Start the daemon and the web server; give its GraphQL address."""
    port = free_port()
    bin_folder = Path(project["PYTHON"]).parent
    place = f"{project['PROJECT']}/workspace.yaml"
    with Path(project["PROJECT"], "log").open("w") as log:
        started = [
            subprocess.Popen(command, env=project, cwd=project["PROJECT"], stdout=log, stderr=log)
            for command in (
                [
                    f"{bin_folder}/dagster-webserver",
                    "-w",
                    place,
                    "-h",
                    "127.0.0.1",
                    "-p",
                    str(port),
                ],
                [f"{bin_folder}/dagster-daemon", "run", "-w", place],
            )
        ]
        yield f"http://127.0.0.1:{port}/graphql"
        for process in started:
            process.send_signal(signal.SIGINT)
        for process in started:
            process.wait(timeout=60)


def asked(address: str, query: str) -> dict | None:
    request = urllib.request.Request(
        address, json.dumps({"query": query}).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)["data"]
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return None


def runs_of(instance: dg.DagsterInstance, job: str) -> list[dg.DagsterRun]:
    return list(instance.get_runs(dg.RunsFilter(job_name=job)))


def finished(instance: dg.DagsterInstance, job: str, count: int) -> bool:
    runs = runs_of(instance, job)
    return len(runs) >= count and all(run.is_finished for run in runs)


def ticks_of(instance: dg.DagsterInstance, name: str) -> int:
    states = [one for one in instance.all_instigator_state() if one.instigator_name == name]
    return sum(len(instance.get_ticks(one.instigator_origin_id, one.selector_id)) for one in states)


def test_OR2_new_rows_start_exactly_one_run_in_the_real_daemon(project, server):
    with dg.DagsterInstance.from_config(project["DAGSTER_HOME"]) as instance:
        until(lambda: finished(instance, "cancer_update", 1), seconds=180, what="the first update")
        until(lambda: finished(instance, "cancer_retrain", 1), seconds=180, what="the first model")
        assert [run.status.value for run in runs_of(instance, "cancer_retrain")] == ["SUCCESS"]
        before = len(runs_of(instance, "cancer_update"))
        more = pd.read_csv(f"{project['PROJECT']}/cancer.csv").tail(15)
        more = more.assign(id=more["id"] + 1_000)
        more.to_csv(f"{project['PROJECT']}/cancer.csv", mode="a", header=False, index=False)
        until(
            lambda: finished(instance, "cancer_update", before + 1), seconds=90, what="one update"
        )
        seen = ticks_of(instance, "cancer_freshness_sensor")
        until(
            lambda: ticks_of(instance, "cancer_freshness_sensor") >= seen + 2,
            seconds=90, what="two more ticks",
        )  # fmt: skip
        assert len(runs_of(instance, "cancer_update")) == before + 1
    data = until(lambda: asked(server, ASSETS), seconds=60, what="the web server")
    nodes = {node["assetKey"]["path"][-1]: node for node in data["assetNodes"]}
    assert nodes["raw_data"]["owners"] == [{"team": "ward"}]
    labels = [
        one["label"] for one in nodes["raw_data"]["assetMaterializations"][0]["metadataEntries"]
    ]
    assert {"dagster/row_count", "dagster/column_schema", "digest"} <= set(labels)
    checks = {one["name"] for one in nodes["evaluation"]["assetChecksOrError"]["checks"]}
    assert {"threshold_roc_auc", "beats_dummy_log_loss", "beats_champion_log_loss"} == checks
