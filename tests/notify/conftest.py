"""A model with findings; a receiver of webhooks and an SMTP server, both real and on this machine."""

import json
import socketserver
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from mlops_dagster.clock import ReplayClock
from mlops_dagster.declaration import ModelIdentity, Task
from mlops_dagster.notify.run import Told, deliver, watch
from mlops_dagster.notify.spec import NotifySpec
from mlops_dagster.records import Finding, Move, Outcome
from mlops_dagster.workbench import Workbench

NOW = datetime(2026, 3, 1, tzinfo=UTC)
MODEL = ModelIdentity(name="churn", task=Task.BINARY, target="left")
HOOK = {"kind": "webhook", "url_variable": "CHURN_HOOK"}


class Scene:
    """A model with findings, and people who are told."""

    def __init__(self, home, **spec) -> None:
        self.clock = ReplayClock(home / "clock")
        self.clock.set(NOW)
        self.bench = Workbench(home=home, clock=self.clock)
        declared = NotifySpec.model_validate({"channels": [HOOK], **spec})
        self.one = Told(model=MODEL, spec=declared, silence=timedelta(days=2))

    def find(
        self, signal="prediction_drift", *, outcome=Outcome.REFUSED, week=0, subject="p", **more
    ):
        finding = Finding(
            model="churn", segment="all", signal=signal, subject=subject, outcome=outcome, value=0.3,
            limit=0.1, rows=900, window_start=None, window_end=NOW + timedelta(weeks=week),
            at=self.clock.now(), because=f"{subject}: W1 0.3 sd, limit 0.1 sd, n=900.",
        )  # fmt: skip
        self.bench.operations.add_findings([replace(finding, **more)])

    def look(self) -> list[str]:
        watch(self.bench, self.one)
        return deliver(self.bench, self.one)

    def promote(self) -> None:
        self.bench.operations.open_move(
            Move(model="churn", segment="all", registered_name="churn", from_version=None,
                 to_version="3", who="ada", why="better", kind="promotion", state="done", at=NOW,
                 recorded_at=NOW)
        )  # fmt: skip


@pytest.fixture
def webhook() -> Iterator[ThreadingHTTPServer]:
    """Keep what is posted in `server.got`; refuse with `server.answer` when it is not 200."""

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            # Kept before it is answered: who asked goes on as soon as the answer is there.
            if server.answer == 200:
                server.got.append((dict(self.headers), json.loads(body)))
            self.send_response(server.answer)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    server.got, server.answer = [], 200
    yield from serving(server)


class Mailbox(socketserver.ThreadingTCPServer):
    """An SMTP server that takes every message."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Session)
        self.got: list[tuple[list[str], Message]] = []


class Session(socketserver.StreamRequestHandler):
    """One SMTP conversation (RFC 5321), as far as `smtplib` needs it."""

    server: Mailbox

    def say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())

    def handle(self) -> None:
        to: list[str] = []
        self.say("220 mailbox")
        while line := self.rfile.readline().decode().strip():
            match line.split(":")[0].split()[0].upper():
                case "DATA":
                    self.say("354 go on")
                    self.server.got.append((to, message_from_bytes(self.body())))
                    self.say("250 kept")
                case "RCPT":
                    to.append(line.partition("<")[2].rstrip(">"))
                    self.say("250 fine")
                case "QUIT":
                    self.say("221 bye")
                    return
                case _:
                    self.say("250 fine")

    def body(self) -> bytes:
        lines = []
        while (line := self.rfile.readline()) != b".\r\n":
            lines.append(line)
        return b"".join(lines)


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    """Keep what is mailed in `server.got`."""
    yield from serving(Mailbox())


@pytest.fixture
def scene(tmp_path, webhook, monkeypatch):
    monkeypatch.setenv("CHURN_HOOK", f"http://127.0.0.1:{webhook.server_port}/secret-path")
    return Scene(tmp_path)


def serving(server):
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()
