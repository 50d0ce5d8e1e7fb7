"""Counts what each version answers, from the moment on when it began to."""

import math
import threading
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from mlops_dagster.clock import wall_now
from mlops_dagster.serve.endpoint.answering import Answered, Role
from mlops_dagster.stores.traffic import BOUNDS_MS, Part, Traffic


@dataclass
class Spells:
    """The counts of one worker. The thread that predicts adds, the one that follows begins and reads."""

    _now: dict[Part, Traffic] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _canary: tuple[str, float] = ("", 0.0)

    def champion(self, version: str) -> None:
        """Begin a spell when another version answers; what was live until now is kept to compare."""
        with self._lock:
            live = self._now.get("live")
            if live and live.version == version:
                return
            if live:
                self._now["before"] = replace(live, part="before")
            self._now["live"] = _spell(version, "live")
            self._now.pop("beside", None)

    def canary(self, version: str, share: float) -> None:
        """Begin a spell when another version, or another share, is tried beside the live one."""
        with self._lock:
            if (version, share) == self._canary:
                return
            self._canary = version, share
            self._now.pop("canary", None)
            self._now.pop("beside", None)
            live = self._now.get("live")
            if share and live:
                self._now["canary"] = _spell(version, "canary")
                self._now["beside"] = _spell(live.version, "beside")

    def add(
        self, role: Role, version: str, answers: Sequence[Answered | Exception], ms: Sequence[float]
    ) -> None:
        """Count the answers of one version, each with the milliseconds since it was asked."""
        parts: tuple[Part, ...] = ("live", "beside") if role == "live" else ("canary",)
        with self._lock:
            for part in parts:
                spell = self._now.get(part)
                if spell and spell.version == version:
                    _count(spell, answers, ms)

    def told(self) -> tuple[Traffic, ...]:
        """Give a copy of what was counted."""
        with self._lock:
            return tuple(replace(one, latency=list(one.latency)) for one in self._now.values())


def _spell(version: str, part: Part) -> Traffic:
    return Traffic(version=version, part=part, since=wall_now())


def _count(spell: Traffic, answers: Sequence[Answered | Exception], ms: Sequence[float]) -> None:
    spell.requests += len(answers)
    for one, took in zip(answers, ms, strict=True):
        if not isinstance(one, Answered):
            spell.errors += 1
            continue
        spell.latency[bisect_left(BOUNDS_MS, took)] += 1
        score = next((name for name in one.columns if name.startswith("probability")), "prediction")
        for value in one.columns[score]:
            if isinstance(value, (int, float)) and math.isfinite(value):
                spell.scores += 1
                spell.total += value
                spell.squares += value * value
