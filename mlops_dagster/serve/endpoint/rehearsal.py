"""The endpoint with one version, for a moment and nobody else: asked over HTTP before it goes live."""

import http.client
import json
import os
import secrets
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from mlops_dagster.errors import DataNotFitError, StoreError
from mlops_dagster.scoring.parity import Answers
from mlops_dagster.serve.endpoint.app import build_app
from mlops_dagster.serve.endpoint.live_model import LiveModel
from mlops_dagster.serve.endpoint.worker import Worker
from mlops_dagster.serve.spec import EndpointSpec
from mlops_dagster.stores.registry import ModelVersion, Registry

ALONE = 8
TOGETHER = 500
_PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """An endpoint on loopback that answers from one version and keeps no log."""

    port: int
    token: str
    settings: EndpointSpec

    def ask(self, rows: Sequence[str]) -> Answers:
        """Ask about rows, JSON objects each: the first ones alone, then many in a request.

        Raises: DataNotFitError when they are refused; StoreError when there is no answer.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_PATIENCE_S)
        told: list[dict[str, Any]] = []
        try:
            for part in self._parts(rows):
                told += self._post(connection, part, asked=len(told))
        finally:
            connection.close()
        names = [name for name in (told[0] if told else {}) if name != "id"]
        return {name: [row[name] for row in told] for name in names}

    def _parts(self, rows: Sequence[str]) -> Iterator[Sequence[str]]:
        part: list[str] = []
        size = 0
        most = min(TOGETHER, self.settings.request_rows)
        for at, row in enumerate(rows):
            large = size + len(row) > self.settings.body_bytes // 2
            if part and (at <= ALONE or len(part) == most or large):
                yield part
                part, size = [], 0
            part.append(row)
            size += len(row) + 1
        if part:
            yield part

    def _post(
        self, connection: http.client.HTTPConnection, part: Sequence[str], *, asked: int
    ) -> list[dict[str, Any]]:
        body = f'{{"rows":[{",".join(part)}]}}'
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self.token}"}
        try:
            connection.request("POST", "/predict", body=body.encode(), headers=headers)
            response = connection.getresponse()
            told = json.loads(response.read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            message = f"the endpoint on loopback gave no answer: {type(error).__name__}: {error}"
            raise StoreError(message) from error
        if response.status != http.client.OK:
            message = (
                f"the endpoint answers rows {asked} to {asked + len(part) - 1} with {response.status}: "
                f"{told.get('message', '')}"
            )
            refused = response.status < http.client.INTERNAL_SERVER_ERROR
            raise DataNotFitError(message) if refused else StoreError(message)
        answers: list[dict[str, Any]] = told["predictions"]
        return answers


@contextmanager
def rehearse(
    registry: Registry, version: ModelVersion, settings: EndpointSpec
) -> Iterator[Rehearsal]:
    """Run the endpoint's application with a version, on a free port of loopback.

    Raises: StoreError when the endpoint would refuse the version.
    """
    import uvicorn

    token = secrets.token_hex()
    # What is asked here is what it answers, not how fast this machine is at the moment.
    patient = {"timeout": timedelta(seconds=_PATIENCE_S)}
    alone = settings.model_copy(
        update={"durability": "none", "shadow": False, "canary": 0.0, **patient}
    )
    live = LiveModel(registry=registry, name=version.name, only=version.version)
    worker = Worker(live=live, settings=alone, folder=Path(os.devnull))
    live.start()
    config = uvicorn.Config(
        build_app(worker, token=token), log_config=None, access_log=False, lifespan="on"
    )
    server = uvicorn.Server(config)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        try:
            _await_start(server, thread)
            yield Rehearsal(port=listening.getsockname()[1], token=token, settings=alone)
        finally:
            server.should_exit = True
            thread.join(_PATIENCE_S)


def _await_start(server: Any, thread: threading.Thread) -> None:
    patience = threading.Event()
    while not server.started:
        if not thread.is_alive():
            message = "the endpoint's application did not start; the log of this process says why."
            raise StoreError(message)
        patience.wait(0.005)
