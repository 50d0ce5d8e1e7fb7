"""The only reader of the wall clock. Every other module is given the time.

`MLOPS_CLOCK` is `wall` (default), or `replay:<file>`: a file that holds one ISO 8601 instant with a
time zone. Every process that shares the file sees the same instant; `ReplayClock.set` moves it.
"""

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from mlops_dagster.errors import SpecError

VARIABLE = "MLOPS_CLOCK"


class Clock(Protocol):
    """Tells the time that decisions are made at."""

    @property
    def address(self) -> str:
        """What `MLOPS_CLOCK` must hold for another process to see the same time."""

    def now(self) -> datetime:
        """Tell the instant, in UTC."""


@dataclass(frozen=True, slots=True)
class WallClock:
    """The machine's own clock."""

    address: str = "wall"

    def now(self) -> datetime:
        """Tell the instant, in UTC."""
        return wall_now()


@dataclass(frozen=True, slots=True)
class ReplayClock:
    """An instant in a file, so that history can be played again in every process alike."""

    path: Path

    @property
    def address(self) -> str:
        """What `MLOPS_CLOCK` must hold for another process to see the same time."""
        return f"replay:{self.path}"

    def now(self) -> datetime:
        """Tell the instant in the file, in UTC."""
        try:
            instant = datetime.fromisoformat(self.path.read_text().strip())
        except (OSError, ValueError) as error:
            message = f"{VARIABLE}: {self.path} holds no ISO 8601 instant: {error}"
            raise SpecError(message) from error
        if instant.tzinfo is None:
            message = (
                f"{VARIABLE}: {self.path}: {instant} has no time zone; write it as {instant}+00:00"
            )
            raise SpecError(message)
        return instant.astimezone(UTC)

    def set(self, instant: datetime) -> None:
        """Move the instant; a reader sees the old or the new one, never a half."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.path.with_suffix(".new")
        fresh.write_text(instant.astimezone(UTC).isoformat())
        fresh.replace(self.path)


def clock_at(address: str) -> Clock:
    """Open the clock that an address such as `wall` or `replay:/path/now` names."""
    kind, _, place = address.partition(":")
    if kind == "wall" and not place:
        return WallClock()
    if kind == "replay" and place:
        return ReplayClock(Path(place))
    message = f"{VARIABLE}: {address!r} names no clock. Use 'wall' or 'replay:<file>'."
    raise SpecError(message)


def clock_from_environment() -> Clock:
    """Open the clock that `MLOPS_CLOCK` names."""
    return clock_at(os.environ.get(VARIABLE, "wall"))


def wall_now() -> datetime:
    """Tell the machine's time, in UTC: for leases and `recorded_at`, never for a decision."""
    return datetime.now(tz=UTC)
