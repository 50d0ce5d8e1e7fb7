"""The end of the demonstration: the model answers over HTTP, through a rollback and a promotion."""

import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Self

from assets.flight_delay.play import Player
from mlops_dagster.deploy.approval import approve
from mlops_dagster.deploy.rollback import await_workers, roll_back, workers_of
from mlops_dagster.records import FeatureSet
from mlops_dagster.stores.accepted import accepted_record

PATIENCE = timedelta(seconds=60)
_PAUSE_S = 0.01
_ROWS = 500


class Endpoint:
    """`mlops-dagster serve` in a process of its own; ended with this one."""

    def __init__(self, player: Player) -> None:
        self.player = player
        self.log = player.bench.home / "endpoint.log"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "mlops_dagster.cli.main", "serve", self.player.model.name]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(  # noqa: S603 - our own command
                [*command, "--port", str(self.port)], stdout=log, stderr=log, env=os.environ
            )
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait()

    def await_answers(self) -> None:
        """Wait until it answers."""
        deadline, patience = time.monotonic() + PATIENCE.total_seconds(), threading.Event()
        while not workers_of(self.player.bench, self.player.model):
            if self.process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"The endpoint did not start; it says why in {self.log}")
            patience.wait(0.05)


@dataclass
class Traffic:
    """One caller that asks for a flight at a time, and remembers who answered."""

    port: int
    rows: list[dict[str, Any]]
    answers: Counter[str] = field(default_factory=Counter)
    failed: int = 0
    last_id: str = ""

    def __enter__(self) -> Self:
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._ask)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _ask(self) -> None:
        caller = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        at = 0
        while not self._ended.wait(_PAUSE_S):
            body = json.dumps({"rows": [self.rows[at % len(self.rows)]]})
            caller.request("POST", "/predict", body, {"Content-Type": "application/json"})
            answer = caller.getresponse()
            told = json.loads(answer.read())
            at += 1
            if answer.status == http.client.OK:
                self.answers[told["version"]] += 1
                self.last_id = told["predictions"][0]["id"]
            else:
                self.failed += 1
        caller.close()


def live(player: Player, endpoint: Endpoint) -> str:
    """Answer callers while a version is rolled back and let in again; give the last answer's id."""
    bench, model = player.bench, player.model
    endpoint.await_answers()
    with Traffic(endpoint.port, recent_rows(player)) as traffic:
        began = time.monotonic()
        move = roll_back(bench, model, who="make demo", why="to show a rollback under traffic")
        await_workers(bench, model, str(move.to_version), within=PATIENCE)
        seconds = time.monotonic() - began
        player.tell(
            f"  rolled back under traffic: version {move.from_version} -> {move.to_version}, answered "
            f"by it after {seconds:.1f} s"
        )
        again = str(move.from_version)
        approve(bench, model, again, who="make demo", why="to show a promotion under traffic")
        if not player.run("deploy").success:
            sys.exit("The promotion under traffic failed; see it in the UI: make dev")
        player.tell(f"  approved again: version {again} is live and confirmed by the endpoint")
    if traffic.failed:
        sys.exit(f"{traffic.failed} requests failed during the swap")
    told = ", ".join(
        f"{count:,} by version {one}" for one, count in sorted(traffic.answers.items())
    )
    player.tell(f"  {traffic.answers.total():,} requests answered: {told}; 0 failed")
    return traffic.last_id


def recent_rows(player: Player) -> list[dict[str, Any]]:
    """Give flights as a caller would: what the model is given, and the key."""
    bench, model = player.bench, player.model
    address = (model.name, model.segment, "features")
    features = accepted_record(bench.records, bench.operations, address=address, kind=FeatureSet)
    if features is None:
        sys.exit("There are no feature rows to ask about.")
    columns = [*model.key, *features.inputs]
    rows = bench.tables.dataset(features.table.name).head(_ROWS, columns=columns)
    return [
        {
            name: value.isoformat() if hasattr(value, "isoformat") else value
            for name, value in row.items()
        }
        for row in rows.to_pylist()
    ]


def trace(player: Player, prediction_id: str) -> str:
    """Follow one answer back to its version, and to the data that version learned from.

    It is in the table once the endpoint has closed its segment of the log, as it does when it ends.
    """
    player.run("score")
    bench, model = player.bench, player.model
    rows = bench.tables.find(f"{model.address}/predictions", "prediction_id", prediction_id)
    [row] = rows.to_pylist()
    version = bench.registry.version(model.registered_name, row["model_version"])
    return (
        f"answer {prediction_id[:8]}: probability {row['probability']:.3f} by version {version.version}, "
        f"MLflow run {version.mlflow_run_id[:8]}, data {version.tags['mlops_dagster.data_version'][:12]}"
    )
