"""The client: connections that stay open, each with one request at a time, in a process of its own.

Only the standard library, and no more work for a request than to see where its answer ends: the client
must cost less than the endpoint. `python -m mlops_dagster.serve.load_test.client` reads a plan from its
input and writes what it saw.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from urllib.parse import urlsplit

from mlops_dagster.errors import StoreError

PATIENCE_S = 60.0
BUSY = 0.9
_HEAD_END = b"\r\n\r\n"
_RETRY_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is sent: `body` to `url`, by `clients` at once, for `seconds` after `warm_up_s`.

    `token_from` names the variable that holds the bearer token.
    """

    url: str
    body: str
    clients: int
    seconds: float
    warm_up_s: float = 0.3
    token_from: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """What the clients saw: answers with status 200, the others by status, times in ms.

    `cpu` is the share of one core that the client itself needed: near 1 it measured itself. `handled`
    counts every answer, those while warming up and those that are errors as well.
    """

    answers: int
    handled: int
    errors: Mapping[str, int]
    seconds: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    cpu: float

    @property
    def per_second(self) -> float:
        """Answers in a second."""
        return self.answers / self.seconds if self.seconds else 0.0

    @property
    def client_was_the_limit(self) -> bool:
        """Whether a faster client would have seen more."""
        return self.cpu >= BUSY


def drive(plan: Plan) -> Window:
    """Send a plan's requests from another process. Raises: StoreError when that process fails."""
    done = subprocess.run(  # noqa: S603 - our own module
        [sys.executable, "-m", __name__],
        input=json.dumps(asdict(plan)),
        capture_output=True,
        text=True,
        check=False,
        timeout=plan.warm_up_s + plan.seconds + 2 * PATIENCE_S,
    )
    if done.returncode:
        message = f"load-test: the client ended with {done.returncode}: {done.stderr[-600:]}"
        raise StoreError(message)
    return Window(**json.loads(done.stdout))


@dataclass(slots=True)
class _Load:
    """What all connections share: the bytes to send, until when, and what came back."""

    request: bytes
    starts: float
    ends: float
    times: list[float] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    handled: int = 0
    last: float = 0.0

    def take(self, began: float, status: bytes) -> None:
        """Count an answer, unless it was asked while warming up."""
        now = time.perf_counter()
        self.handled += 1
        if began < self.starts:
            return
        self.last = now
        if status == b"200":
            self.times.append(now - began)
        else:
            self.errors[status.decode(errors="replace")] += 1

    def fail(self, why: str) -> None:
        """Count a request that got no answer."""
        if time.perf_counter() >= self.starts:
            self.errors[why] += 1


class _Caller(asyncio.Protocol):
    """One connection: sends, sees where the answer ends, sends again."""

    def __init__(self, load: _Load) -> None:
        self.load = load
        self.ended = asyncio.get_running_loop().create_future()
        self.buffer, self.needed, self.status, self.began = bytearray(), 0, b"", 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - create_connection gives one
        self.transport = transport
        self.send()

    def send(self) -> None:
        """Ask again, or end."""
        self.began = time.perf_counter()
        if self.began >= self.load.ends:
            self.began = 0.0
            self.transport.close()
            return
        self.transport.write(self.load.request)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if not self.needed:
            head = self.buffer.find(_HEAD_END)
            if head < 0:
                return
            self.status = bytes(self.buffer[9:12])
            self.needed = head + len(_HEAD_END) + length_of(bytes(self.buffer[:head]))
        if len(self.buffer) >= self.needed:
            self.buffer.clear()
            self.needed = 0
            self.load.take(self.began, self.status)
            self.send()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.began:
            self.load.fail(type(exc).__name__ if exc else "closed")
        if not self.ended.done():
            self.ended.set_result(None)


def length_of(head: bytes) -> int:
    """Read how long a body is. Raises: StoreError for an answer that does not say."""
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line[15:])
    message = "load-test: the answer has no Content-Length, and this client reads no other."
    raise StoreError(message)


async def _calls(plan: Plan, load: _Load) -> None:
    """Keep one connection busy until the end; one that was lost is made again."""
    place = urlsplit(plan.url)
    secure = place.scheme == "https"
    while time.perf_counter() < load.ends:
        try:
            _, caller = await asyncio.get_running_loop().create_connection(
                lambda: _Caller(load),
                place.hostname or "",
                place.port or (443 if secure else 80),
                ssl=secure or None,
            )
        except OSError as error:
            load.fail(type(error).__name__)
            await asyncio.sleep(_RETRY_S)
            continue
        await caller.ended


async def _run(plan: Plan) -> Window:
    began = time.perf_counter()
    starts = began + plan.warm_up_s
    load = _Load(request_of(plan), starts, starts + plan.seconds)
    calls = [asyncio.create_task(_calls(plan, load)) for _ in range(plan.clients)]
    before = time.process_time()
    done, late = await asyncio.wait(calls, timeout=plan.warm_up_s + plan.seconds + PATIENCE_S)
    spent = time.process_time() - before
    for call in late:
        call.cancel()
        load.fail("no answer")
    for call in done:
        call.result()
    ordered = sorted(load.times)
    return Window(
        answers=len(ordered),
        handled=load.handled,
        errors=dict(load.errors),
        seconds=max(load.last - starts, 0.0),
        p50_ms=quantile(ordered, 0.5) * 1000,
        p95_ms=quantile(ordered, 0.95) * 1000,
        p99_ms=quantile(ordered, 0.99) * 1000,
        cpu=spent / (time.perf_counter() - began),
    )


def request_of(plan: Plan) -> bytes:
    """Write the request once: every one is the same."""
    place = urlsplit(plan.url)
    body = plan.body.encode()
    head = [
        f"POST {place.path or '/'} HTTP/1.1",
        f"Host: {place.netloc}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    ]
    if plan.token_from:
        token = os.environ.get(plan.token_from, "")
        head.append(f"Authorization: Bearer {token}")
    return "\r\n".join(head).encode() + _HEAD_END + body


def quantile(ordered: Sequence[float], share: float) -> float:
    """Give the value that `share` of the ordered values do not exceed; 0 when there are none."""
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else 0.0


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asdict(asyncio.run(_run(Plan(**json.load(sys.stdin)))))))
