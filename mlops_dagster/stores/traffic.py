"""What one version answered in one spell, as counts that add up over workers."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import reduce
from typing import Any, Literal

BOUNDS_MS = (
    1,
    2,
    3,
    5,
    8,
    12,
    20,
    30,
    50,
    80,
    120,
    200,
    300,
    500,
    800,
    1_200,
    2_000,
    5_000,
    10_000,
)
"""Upper bounds of the latency counts, in milliseconds; one more count is for what took longer."""

Part = Literal["live", "before", "canary", "beside"]
"""`before` is the version that was live until the present one, `beside` the live one during a canary."""


@dataclass(slots=True, kw_only=True)
class Traffic:
    """Counts of one version's answers since `since` (wall clock).

    `errors` are requests that the version could not answer. `scores` of them are numbers; their sum and
    sum of squares give mean and spread.
    """

    version: str
    part: Part
    since: datetime
    requests: int = 0
    errors: int = 0
    latency: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_MS) + 1))
    scores: int = 0
    total: float = 0.0
    squares: float = 0.0

    @property
    def error_rate(self) -> float:
        """Share of requests that failed, 0 to 1."""
        return self.errors / self.requests if self.requests else 0.0

    @property
    def mean(self) -> float:
        """Mean score; NaN without one."""
        return self.total / self.scores if self.scores else math.nan

    @property
    def spread(self) -> float:
        """Standard deviation of the scores; NaN without one."""
        if not self.scores:
            return math.nan
        return math.sqrt(max(self.squares / self.scores - self.mean**2, 0.0))

    def latency_ms(self, share: float) -> float:
        """Give the latency that a share of the answers stays within: the upper bound of its count."""
        wanted, seen = share * sum(self.latency), 0
        for bound, count in zip((*BOUNDS_MS, math.inf), self.latency, strict=True):
            seen += count
            if seen >= wanted:
                return bound
        return math.inf

    def plus(self, other: "Traffic") -> "Traffic":
        """Add another worker's counts."""
        return Traffic(
            version=self.version,
            part=self.part,
            since=min(self.since, other.since),
            requests=self.requests + other.requests,
            errors=self.errors + other.errors,
            latency=[a + b for a, b in zip(self.latency, other.latency, strict=True)],
            scores=self.scores + other.scores,
            total=self.total + other.total,
            squares=self.squares + other.squares,
        )

    def written(self) -> dict[str, Any]:
        """Write it as JSON."""
        names = [name for name in self.__slots__ if name != "since"]
        return {name: getattr(self, name) for name in names} | {"since": self.since.isoformat()}


def read_traffic(written: Mapping[str, Any]) -> Traffic:
    """Read what `written` wrote."""
    return Traffic(**{**written, "since": datetime.fromisoformat(written["since"])})


def together(all_of_them: Iterable[Traffic], *, part: Part, version: str = "") -> Traffic | None:
    """Add up what all workers tell of one part, or of one version in it; None when nobody does."""
    chosen = [one for one in all_of_them if one.part == part and version in {"", one.version}]
    return reduce(Traffic.plus, chosen) if chosen else None
