"""A server process: started on a free port, timed until its first answer, ended by its id."""

import http.client
import json
import os
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from mlops_dagster.errors import StoreError

PATIENCE_S = 120.0
_LOOK_S = 0.01
_END_S = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A server that answers: where, its process, and the seconds from its start to its first answer."""

    url: str
    pid: int
    cold_start_s: float


@contextmanager
def started(
    command: Callable[[int], Sequence[str]],
    *,
    answers: Callable[[str], bool],
    environment: Mapping[str, str],
) -> Iterator[Started]:
    """Run the command for a port until the block ends; `answers` asks a URL for a first answer.

    Raises: StoreError with what the server said, when it ends or does not answer in time.
    """
    port = free_port()
    with tempfile.TemporaryFile() as said:
        began = time.perf_counter()
        process = subprocess.Popen(  # noqa: S603 - our own command lines
            list(command(port)), env={**os.environ, **environment}, stdout=said, stderr=said
        )
        try:
            url, looked = f"http://127.0.0.1:{port}", threading.Event()
            while not answers(url):
                waited = time.perf_counter() - began
                if process.poll() is not None or waited > PATIENCE_S:
                    said.seek(0)
                    text = said.read().decode(errors="replace")[-1500:]
                    message = f"load-test: no answer after {waited:.0f} s. The server said: {text}"
                    raise StoreError(message)
                looked.wait(_LOOK_S)
            yield Started(url=url, pid=process.pid, cold_start_s=time.perf_counter() - began)
        finally:
            end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask a process to end; kill it when it does not."""
    process.terminate()
    try:
        process.wait(_END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def free_port() -> int:
    """Find a port of the loopback address that nobody listens at."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def ask(
    url: str, *, body: str | None = None, token_from: str = "", timeout_s: float = 60.0
) -> tuple[int, Any]:
    """Send one request; give its status, 0 when nobody answered, and its JSON, None when it is none."""
    place = urlsplit(url)
    kind = http.client.HTTPSConnection if place.scheme == "https" else http.client.HTTPConnection
    connection = kind(place.netloc, timeout=timeout_s)
    headers = {"Content-Type": "application/json"}
    if token_from:
        headers["Authorization"] = f"Bearer {os.environ.get(token_from, '')}"
    try:
        connection.request("POST" if body else "GET", place.path or "/", body, headers)
        answer = connection.getresponse()
        status, text = answer.status, answer.read()
    except (OSError, http.client.HTTPException):
        return 0, None
    finally:
        connection.close()
    try:
        return status, json.loads(text)
    except ValueError:
        return status, None
