"""Ask an endpoint more and more: requests a second at several clients, and the largest batch."""

import json
import math
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mlops_dagster.errors import StoreError
from mlops_dagster.serve.load_test.client import Plan, Window, drive
from mlops_dagster.serve.load_test.started import Started, ask, started

CLIENTS = (1, 8, 32)
ROWS = (1, 100)
_TRIES = 3
_PATIENCE_S = 60.0
_CLOSE = 1.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """What one number of clients saw, each sending this many rows in a request."""

    clients: int
    rows: int
    window: Window

    @property
    def rows_per_second(self) -> float:
        """Rows answered in a second."""
        return self.rows * self.window.per_second


@dataclass(frozen=True, slots=True, kw_only=True)
class Largest:
    """The most rows in one request that were answered within a limit, and what stopped more."""

    rows: int
    seconds: float
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadReport:
    """What was measured. No cold start when the endpoint ran already."""

    model: str
    version: str
    url: str
    cores: int
    cold_start_s: float | None
    levels: Sequence[Level]
    largest: Largest


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """How an endpoint is asked: where, with what row, by which right. `most` rows in a request."""

    url: str
    model: str
    version: str
    row: Any
    most: int
    token_from: str = ""

    @classmethod
    def learn(cls, url: str, *, token_from: str = "") -> "Asking | None":
        """Read an endpoint's own description; nothing while it does not answer.

        Raises: StoreError when it answers something else.
        """
        status, told = ask(f"{url}/openapi.json", token_from=token_from)
        if status == 0:
            return None
        try:
            post = told["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]
            return cls(
                url=url,
                model=told["info"]["title"],
                version=told["info"]["version"],
                row=post["example"]["rows"][0],
                most=post["schema"]["properties"]["rows"]["maxItems"],
                token_from=token_from,
            )
        except (KeyError, IndexError, TypeError) as error:
            message = (
                f"load-test: {url} answers {status}, and does not describe a model as "
                "`mlops-dagster serve` does. Check the address, and --token-from where it needs one."
            )
            raise StoreError(message) from error

    def body(self, rows: int) -> str:
        """Write a request of the model's own example, again and again."""
        return json.dumps({"rows": [self.row] * rows})

    def once(self, rows: int, *, timeout_s: float) -> tuple[int, Any]:
        """Send one request."""
        return ask(
            f"{self.url}/predict",
            body=self.body(rows),
            token_from=self.token_from,
            timeout_s=timeout_s,
        )


@contextmanager
def own_endpoint(model: str, *, home: Path, token_from: str = "") -> Iterator[Started]:
    """Start a model's endpoint for the test alone: its log is kept apart and forgotten.

    Raises: StoreError when it does not answer.
    """
    home.mkdir(parents=True, exist_ok=True)
    # On the disk of the real log, or its cost would not be the same.
    with TemporaryDirectory(prefix="load-test-", dir=home) as apart:
        serve = [sys.executable, "-m", "mlops_dagster.cli.main", "serve", model, "--apart", apart]
        with started(
            lambda port: [*serve, "--port", str(port)],
            answers=partial(_answers, token_from=token_from),
            environment={},
        ) as endpoint:
            yield endpoint


def _answers(url: str, *, token_from: str) -> bool:
    asking = Asking.learn(url, token_from=token_from)
    return asking is not None and asking.once(1, timeout_s=_PATIENCE_S)[0] == 200


def measure(
    asking: Asking,
    *,
    seconds: float,
    within_s: float,
    cold_start_s: float | None = None,
    tell: Callable[[Level], None] = lambda _: None,
) -> LoadReport:
    """Drive an endpoint at each number of clients and rows, and look for the largest batch.

    Raises: StoreError when not even one row is answered.
    """
    status, told = asking.once(1, timeout_s=_PATIENCE_S)
    if status != 200:
        said = told.get("message", "") if isinstance(told, dict) else ""
        message = f"load-test: {asking.url}/predict answers {status or 'nothing'}: {said}"
        raise StoreError(message)
    levels = []
    for rows in (one for one in ROWS if one <= asking.most):
        for clients in CLIENTS:
            plan = Plan(
                url=f"{asking.url}/predict",
                body=asking.body(rows),
                clients=clients,
                seconds=seconds,
                token_from=asking.token_from,
            )
            levels.append(Level(clients=clients, rows=rows, window=drive(plan)))
            tell(levels[-1])
    return LoadReport(
        model=asking.model,
        version=asking.version,
        url=asking.url,
        cores=os.cpu_count() or 1,
        cold_start_s=cold_start_s,
        levels=levels,
        largest=find_largest(partial(_probe, asking, within_s), most=asking.most),
    )


def find_largest(probe: Callable[[int], tuple[float, str]], *, most: int) -> Largest:
    """Find the largest batch to within a tenth; `probe` gives seconds and why it was no answer."""
    taken, why = probe(most)
    if not why:
        return Largest(rows=most, seconds=taken, because="the endpoint takes no more in a request")
    good, seconds, bad = 0, 0.0, most
    while bad > max(good * _CLOSE, good + 1):
        tried = round(math.sqrt(max(good, 1) * bad))
        tried = min(max(tried, good + 1), bad - 1)
        taken, told = probe(tried)
        if told:
            bad, why = tried, told
        else:
            good, seconds = tried, taken
    return Largest(rows=good, seconds=seconds, because=f"{bad:,} rows: {why}")


def _probe(asking: Asking, within_s: float, rows: int) -> tuple[float, str]:
    """Send a batch a few times; give the median time, and what was wrong with it."""
    times = []
    for _ in range(_TRIES):
        began = time.perf_counter()
        status, told = asking.once(rows, timeout_s=10 * within_s + 10)
        times.append(time.perf_counter() - began)
        if status != 200:
            said = told.get("message", "") if isinstance(told, dict) else "no answer"
            return times[-1], f"{status} {said}".strip()
        if min(times) > within_s:
            break
    taken = statistics.median(times)
    return taken, f"{taken:.2f} s, the limit is {within_s:g} s" if taken > within_s else ""
