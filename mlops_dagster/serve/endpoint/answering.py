"""A batch of questions in, answers out: checked, scored, written to the log, and only then given."""

import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from typing import Any, Literal
from uuid import UUID

from mlops_dagster.clock import wall_now
from mlops_dagster.errors import DataNotFitError, StoreError, first_line
from mlops_dagster.scoring.questions import Question
from mlops_dagster.serve.endpoint.live_model import LiveModel, Loaded
from mlops_dagster.serve.endpoint.prediction_log import PredictionLog

Role = Literal["live", "canary", "shadow"]
_SHARES = 2**32


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request: its own id, the caller's, and when it came (monotonic seconds)."""

    id: str
    question: Question
    came: float
    caller_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What one request is told: columns of the answer, and by which version."""

    id: str
    version: str
    role: Role
    rows: int
    columns: Mapping[str, Sequence[Any]]

    def records(self) -> list[dict[str, Any]]:
        """Give the answer row by row."""
        names = list(self.columns)
        return [
            dict(zip(names, row, strict=True)) for row in zip(*self.columns.values(), strict=True)
        ]

    def ids(self) -> list[str]:
        """Give each row's prediction id."""
        return [prediction_id(self.id, at) for at in range(self.rows)]


Seen = Callable[[Role, str, Sequence[Answered | Exception], Sequence[float]], None]
"""Told of each part of a batch: the role, the version, its answers, and milliseconds since asked."""


@dataclass(frozen=True, slots=True)
class _Scored:
    asked: Asked
    names: Sequence[str]
    values: Sequence[Sequence[Any]]
    answered: Answered


@dataclass(frozen=True, slots=True, kw_only=True)
class Answering:
    """Answers batches with the live version, and the challenger's share with the challenger.

    `names` are the columns that name a row (key, event time) and are kept with it; `key` decides which
    rows the canary answers; the values of columns in `redact` are not written to the log.
    """

    live: LiveModel
    log: PredictionLog
    key: Sequence[str] = ()
    names: Sequence[str] = ()
    redact: frozenset[str] = frozenset()
    shadow: bool = False
    seen: "Seen" = field(default=lambda *_: None)

    def __call__(self, batch: Sequence[Asked]) -> list[Answered | Exception]:
        """Answer a batch: one that does not fit fails alone; all fail when the log cannot be written."""
        champion, challenger = self.live.champion, self.live.challenger
        if champion is None:
            return [StoreError("No version is live.")] * len(batch)
        routed = self._routed(batch, champion, challenger)
        told: dict[str, _Scored | Exception] = {}
        for role, loaded, asked in routed:
            told |= score(loaded, asked, role=role, key=self.key)
        done = [one for one in told.values() if isinstance(one, _Scored)]
        try:
            self.log.append(self._records(done), now=time.monotonic())
        except StoreError as error:
            told = {key: error if isinstance(one, _Scored) else one for key, one in told.items()}
        answers = {
            key: one.answered if isinstance(one, _Scored) else one for key, one in told.items()
        }
        now = time.monotonic()
        for role, loaded, asked in routed:
            took = [(now - one.came) * 1000 for one in asked]
            self.seen(role, loaded.version, [answers[one.id] for one in asked], took)
        return [answers[asked.id] for asked in batch]

    def after(self, batch: Sequence[Asked]) -> None:
        """Let the challenger score the same rows once they were answered; only the log sees it."""
        challenger = self.live.challenger
        if self.shadow and challenger is not None:
            told = score(challenger, batch, role="shadow", key=self.key)
            done = [one for one in told.values() if isinstance(one, _Scored)]
            self.log.append(self._records(done), now=time.monotonic())

    def _routed(
        self, batch: Sequence[Asked], champion: Loaded, challenger: Loaded | None
    ) -> "list[tuple[Role, Loaded, Sequence[Asked]]]":
        share = self.live.canary
        if challenger is None or not share:
            return [("live", champion, batch)]
        chosen = [one for one in batch if self._share_of(one) < share]
        ids = {one.id for one in chosen}
        return [
            ("live", champion, [one for one in batch if one.id not in ids]),
            ("canary", challenger, chosen),
        ]

    def _share_of(self, asked: Asked) -> float:
        """Place a request between 0 and 1 by its first row's key, so that a key stays on one side."""
        row = asked.question.rows[0] if asked.question.rows else ()
        key = asked.id
        if self.key and isinstance(row, Mapping) and all(name in row for name in self.key):
            key = "\x1f".join(str(row[name]) for name in self.key)
        digest = blake2b(key.encode(errors="replace"), digest_size=4).digest()
        return int.from_bytes(digest) / _SHARES

    def _records(self, done: Sequence[_Scored]) -> list[dict[str, Any]]:
        at, now = wall_now().isoformat(), time.monotonic()
        return [
            {
                "id": one.answered.id,
                "caller_id": one.asked.caller_id,
                "at": at,
                "version": one.answered.version,
                "role": one.answered.role,
                "latency_ms": round((now - one.asked.came) * 1000, 3),
                "columns": one.names,
                "rows": self._redacted(one),
                "answer": one.answered.columns,
                "named": self._named(one.asked.question),
            }
            for one in done
        ]

    def _redacted(self, scored: _Scored) -> Sequence[Sequence[Any]]:
        if self.redact.isdisjoint(scored.names):
            return scored.values
        shown = [name not in self.redact for name in scored.names]
        return [
            [value if show else None for value, show in zip(row, shown, strict=True)]
            for row in scored.values
        ]

    def _named(self, question: Question) -> dict[str, list[Any]]:
        """Keep what names the rows (key, event time), where the caller gave it."""
        rows = [row for row in question.rows if isinstance(row, Mapping)]
        given = {name for row in rows for name in row}
        names = [name for name in self.names if name in given and name not in self.redact]
        return {name: [row.get(name) for row in rows] for name in names}


def new_id(now: datetime) -> str:
    """Make a request's id: a UUID of version 7, whose order is that of time to the millisecond.

    So the predictions that one file holds are a narrow range of ids, which Delta's log keeps.
    Source: RFC 9562, section 5.7. (`uuid.uuid7` comes with Python 3.14.)
    """
    random = int.from_bytes(os.urandom(10))
    head, tail = random >> 68, random & (2**62 - 1)
    number = int(now.timestamp() * 1000) << 80 | 7 << 76 | head << 64 | 2 << 62 | tail
    return UUID(int=number).hex


def prediction_id(request: str, at: int) -> str:
    """Name the answer to one row of a request."""
    return f"{request}-{at}"


def score(
    loaded: Loaded, batch: Sequence[Asked], *, role: Role, key: Sequence[str]
) -> dict[str, _Scored | Exception]:
    """Score requests at once; when that fails, one by one, so that one bad row fails alone."""
    told: dict[str, _Scored | Exception] = {}
    fitting: list[tuple[Asked, list[list[Any]]]] = []
    for asked in batch:
        try:
            fitting.append((asked, loaded.schema.values(asked.question, key=key)))
        except DataNotFitError as error:
            told[asked.id] = error
    try:
        told |= _scored(loaded, fitting, role=role)
    except DataNotFitError:
        for one in fitting:
            try:
                told |= _scored(loaded, [one], role=role)
            except DataNotFitError as error:
                told[one[0].id] = error
    return told


def _scored(
    loaded: Loaded, asked: Sequence[tuple[Asked, list[list[Any]]]], *, role: Role
) -> dict[str, _Scored]:
    columns = answer(loaded, [row for _, rows in asked for row in rows])
    told, start, names = {}, 0, list(loaded.schema.kinds)
    for one, rows in asked:
        end = start + len(rows)
        answered = Answered(
            id=one.id,
            version=loaded.version,
            role=role,
            rows=len(rows),
            columns={name: values[start:end] for name, values in columns.items()},
        )
        told[one.id] = _Scored(one, names, rows, answered)
        start = end
    return told


def answer(loaded: Loaded, values: Sequence[Sequence[Any]]) -> dict[str, list[Any]]:
    """Score rows, column by column. Raises: DataNotFitError when the model cannot read them."""
    rows = loaded.schema.frame(values)
    if not len(rows):
        return {"prediction": []}
    try:
        made = loaded.model.predict_typed(rows)
    except Exception as error:
        # The feature code is the user's: what it raises is told to the caller, who sent the rows.
        message = f"The model cannot read these rows: {type(error).__name__}: {first_line(error)}"
        raise DataNotFitError(message) from error
    return {str(name): [_plain(value) for value in made[name].tolist()] for name in made}


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
