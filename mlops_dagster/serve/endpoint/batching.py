"""One thread predicts. It takes what queued while it was busy: no timer, no idle wait."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Q = TypeVar("Q")
A = TypeVar("A")


class QueueFullError(Exception):
    """More waits already than can be answered soon."""


@dataclass(slots=True)
class _Job(Generic[Q, A]):
    question: Q
    size: int
    answer: "asyncio.Future[A]"
    loop: asyncio.AbstractEventLoop


class Batcher(Generic[Q, A]):
    """Answers questions in batches of at most `batch_rows`, holding at most `queue_rows` waiting.

    `work` gets the questions of a batch and gives as many answers; an exception is an answer too.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Q]], Sequence[A | Exception]],
        *,
        batch_rows: int,
        queue_rows: int,
    ) -> None:
        self._work = work
        self._batch_rows = batch_rows
        self._queue_rows = queue_rows
        self._jobs: deque[_Job[Q, A]] = deque()
        self._waiting = 0
        self._ended = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="predict", daemon=True)

    @property
    def waiting_rows(self) -> int:
        """How many rows wait."""
        return self._waiting

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def close(self) -> None:
        """Answer what waits, and end."""
        with self._changed:
            self._ended = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join()

    async def ask(self, question: Q, *, rows: int) -> A:
        """Wait for an answer. Raises: QueueFullError at once when too much waits."""
        loop = asyncio.get_running_loop()
        job: _Job[Q, A] = _Job(question, max(rows, 1), loop.create_future(), loop)
        with self._changed:
            if self._ended or (self._waiting and self._waiting + job.size > self._queue_rows):
                raise QueueFullError
            self._jobs.append(job)
            self._waiting += job.size
            self._changed.notify()
        return await job.answer

    def _run(self) -> None:
        while batch := self._take():
            # Who gave up waiting is not worth the work, and was not acknowledged.
            wanted = [job for job in batch if not job.answer.cancelled()]
            if not wanted:
                continue
            try:
                answers = self._work([job.question for job in wanted])
            except Exception as error:  # noqa: BLE001 - told to everyone who asked
                answers = [error] * len(wanted)
            wanted[0].loop.call_soon_threadsafe(_tell, wanted, answers)

    def _take(self) -> list[_Job[Q, A]]:
        """Take what waits, up to the limit of rows; nothing once it ended."""
        with self._changed:
            while not self._jobs and not self._ended:
                self._changed.wait()
            batch: list[_Job[Q, A]] = []
            rows = 0
            while self._jobs and (not batch or rows + self._jobs[0].size <= self._batch_rows):
                job = self._jobs.popleft()
                rows += job.size
                batch.append(job)
            self._waiting -= rows
            return batch


def _tell(jobs: "Sequence[_Job[Q, A]]", answers: Sequence[A | Exception]) -> None:
    for job, answer in zip(jobs, answers, strict=True):
        if job.answer.done():
            continue
        if isinstance(answer, Exception):
            job.answer.set_exception(answer)
        else:
            job.answer.set_result(answer)
