"""One worker of the endpoint: the live model, the log, the thread that predicts, the one that looks."""

import logging
import os
import queue
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from mlops_dagster.clock import wall_now
from mlops_dagster.errors import StoreError
from mlops_dagster.serve.endpoint.answering import Answered, Answering, Asked, Role
from mlops_dagster.serve.endpoint.batching import Batcher
from mlops_dagster.serve.endpoint.live_model import LiveModel
from mlops_dagster.serve.endpoint.metrics import Metrics
from mlops_dagster.serve.endpoint.prediction_log import PredictionLog
from mlops_dagster.serve.endpoint.spells import Spells
from mlops_dagster.serve.spec import EndpointSpec
from mlops_dagster.stores.operations import Worker as Beat

log = logging.getLogger("mlops_dagster.serve")
LOOK_S = 1.0
_SHADOWS = 64


@dataclass
class Worker:
    """Answers for one model in one process. `beat` tells others which version answers here."""

    live: LiveModel
    settings: EndpointSpec
    folder: Path
    address: str = ""
    model: str = ""
    segment: str = "all"
    key: Sequence[str] = ()
    names: Sequence[str] = ()
    beat: Callable[[Beat], None] | None = None
    leave: Callable[[str], None] | None = None
    metrics: Metrics = field(default_factory=Metrics)
    spells: Spells = field(default_factory=Spells)
    name: str = field(default_factory=lambda: uuid4().hex)

    def __post_init__(self) -> None:
        self.log = PredictionLog(self.folder, durability=self.settings.durability)
        self.answering = Answering(
            live=self.live,
            log=self.log,
            key=self.key,
            names=self.names,
            redact=frozenset(self.settings.redact),
            shadow=self.settings.shadow,
            seen=self._count,
        )
        self.batcher: Batcher[Asked, Answered] = Batcher(
            self._work,
            batch_rows=self.settings.batch_rows,
            queue_rows=self.settings.queue_rows,
        )
        self._log_problem = ""
        self._shadows: queue.Queue[Sequence[Asked] | None] = queue.Queue(maxsize=_SHADOWS)
        self._wake = threading.Event()
        self._ended = False
        self._threads = [
            threading.Thread(target=self._follow, name="follow", daemon=True),
            threading.Thread(target=self._shadow, name="shadow", daemon=True),
        ]

    # --- LIFE ---

    def start(self) -> None:
        """Load the champion and begin. Raises: StoreError when nothing can be served."""
        self.live.start()
        self._tell()
        self.batcher.start()
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Answer what waits, seal the log, and say goodbye."""
        self._ended = True
        self._wake.set()
        self.batcher.close()
        with suppress(queue.Full):
            self._shadows.put(None, timeout=1)
        for thread in self._threads:
            thread.join(timeout=5)
        self.log.seal()
        if self.leave:
            self.leave(self.name)

    @asynccontextmanager
    async def lifespan(self, _app: object) -> AsyncIterator[None]:
        """Run from start-up to shut-down of the application."""
        self.start()
        try:
            yield
        finally:
            self.close()

    def look(self, *, again: bool = False) -> None:
        """Follow the registry now, and tell others."""
        self.live.look(again=again)
        self._tell()

    # --- WHAT IT SAYS OF ITSELF ---

    def versions(self) -> dict[str, Any]:
        """Tell which versions it holds."""
        champion, before, challenger = self.live.champion, self.live.before, self.live.challenger
        return {
            "model": self.live.name,
            "version": champion.version if champion else None,
            "before": before.version if before else None,
            "challenger": challenger.version if challenger else None,
            "canary": self.live.canary,
            "worker": self.name,
            "problem": self.live.problem,
        }

    def state(self) -> dict[str, Any]:
        """Tell whether it can answer: `ok`, or what is in the way."""
        ready = self.live.champion is not None and not self._log_problem
        return {
            "status": "ok" if ready else "unavailable",
            "log": self._log_problem or "written",
            **self.versions(),
        }

    def metrics_text(self) -> bytes:
        """Write the counters for Prometheus."""
        metrics, champion = self.metrics, self.live.champion
        metrics.queue.set(self.batcher.waiting_rows)
        metrics.log_bytes.set(self.log.waiting_bytes)
        metrics.log_lag.set(oldest_age(self.folder))
        return metrics.text(version=champion.version if champion else "")

    def keep(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Write records that are no predictions. Raises: StoreError when they are not kept."""
        if self.settings.durability == "none":
            message = "This endpoint keeps no log (durability: none), so nothing was kept."
            raise StoreError(message)
        self.log.append(records, now=time.monotonic())

    # --- THREADS ---

    def _work(self, batch: Sequence[Asked]) -> Sequence[Answered | Exception]:
        answers = self.answering(batch)
        failed = [one for one in answers if isinstance(one, StoreError)]
        self._log_problem = str(failed[0]) if failed else ""
        if self.settings.shadow and self.live.challenger is not None:
            with suppress(queue.Full):
                done = zip(batch, answers, strict=True)
                self._shadows.put_nowait(
                    [asked for asked, one in done if isinstance(one, Answered)]
                )
        return answers

    def _count(
        self, role: Role, version: str, answers: Sequence[Answered | Exception], ms: Sequence[float]
    ) -> None:
        self.metrics.batch(role, version, answers)
        self.spells.add(role, version, answers, ms)

    def _shadow(self) -> None:
        while batch := self._shadows.get():
            try:
                self.answering.after(batch)
            except StoreError as error:
                self._log_problem = str(error)

    def _follow(self) -> None:
        seal_after = self.settings.seal_after.total_seconds()
        while not self._wake.wait(LOOK_S):
            self.look()
            if self._log_problem:
                self._try_the_log()
            try:
                self.log.seal(older_than_s=seal_after, now=time.monotonic())
            except OSError as error:
                log.warning("the log's segment was not sealed: %s", error)

    def _try_the_log(self) -> None:
        """See whether the log can be written again, or health would wait for a request."""
        try:
            self.log.append([{"note": "the log is written again"}], now=time.monotonic())
            self._log_problem = ""
        except StoreError as error:
            self._log_problem = str(error)

    def _tell(self) -> None:
        champion, challenger = self.live.champion, self.live.challenger
        if champion is None:
            return
        self.spells.champion(champion.version)
        self.spells.canary(challenger.version if challenger else "", self.live.canary)
        if self.beat is None:
            return
        told = Beat(
            worker=self.name,
            model=self.model,
            segment=self.segment,
            address=self.address,
            version=champion.version,
            problem=self._log_problem or self.live.problem,
            pid=os.getpid(),
            seen_at=wall_now(),
            traffic=self.spells.told(),
        )
        try:
            self.beat(told)
        except StoreError as error:
            # Whoever asks what serves sees an old time; callers are answered all the same.
            log.warning("%s", error)


def oldest_age(folder: Path) -> float:
    """Tell how old the oldest segment is that is not in the table yet, in seconds."""
    ages = []
    for path in folder.glob("*"):
        with suppress(FileNotFoundError):
            ages.append(wall_now().timestamp() - path.stat().st_ctime)
    return max(ages, default=0.0)
