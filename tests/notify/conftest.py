"""A receiver of webhooks and an SMTP server, both real and on this machine."""

import json
import socketserver
import threading
from collections.abc import Iterator
from email import message_from_bytes
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


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


def serving(server):
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()
