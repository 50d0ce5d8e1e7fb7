"""What a window's answers came to, and what was found of it. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from mlops_dagster.declaration import ModelIdentity
from mlops_dagster.metrics.estimated import Estimate
from mlops_dagster.metrics.limits import FEWEST_WINDOWS
from mlops_dagster.metrics.losses import LossSketch
from mlops_dagster.monitor.windows import Window
from mlops_dagster.records import Finding, Outcome

PerformanceSignal = Literal[
    "performance", "slice_performance", "slice_drift", "estimated_performance"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceMeasured:
    """The losses of one value of one slice; `before` is None when the holdout had no such value."""

    column: str
    value: str
    loss: LossSketch
    before: LossSketch | None

    @property
    def name(self) -> str:
        """The slice as people write it."""
        return f"{self.column}={self.value}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What one window's answers by one version came to. `rows` answers, `loss.rows` with a label.

    `absent` are the declared slices that the version carries no losses of, or that are no input;
    `forgone` is the business value with the sign turned.
    """

    window: Window
    version: str
    source: str
    rows: int
    loss: LossSketch
    as_of: datetime
    metrics: Mapping[str, float]
    estimates: Mapping[str, Estimate]
    slices: Sequence[SliceMeasured] = ()
    absent: Sequence[str] = ()
    forgone: LossSketch | None = None
    digest: str = ""

    @property
    def coverage(self) -> float:
        """The share of the answers whose label is known, 0 to 1."""
        return self.loss.rows / self.rows if self.rows else 0.0

    @property
    def known(self) -> str:
        """How much is known, and when."""
        return (
            f"{self.loss.rows:,} labels ({self.coverage:.0%} of {self.rows:,} answers) "
            f"as of {self.as_of:%Y-%m-%d %H:%M} UTC"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LossVerdict:
    """What was found of one loss."""

    signal: PerformanceSignal
    subject: str
    outcome: Outcome
    told: str
    labels: int
    value: float | None = None
    limit: float | None = None

    def finding(
        self, model: ModelIdentity, measured: Measured, *, at: datetime, champion: str
    ) -> Finding:
        """Write it down."""
        return Finding(
            model=model.name,
            segment=model.segment,
            signal=self.signal,
            subject=self.subject,
            outcome=self.outcome,
            value=self.value,
            limit=self.limit,
            rows=self.labels,
            window_start=measured.window.start,
            window_end=measured.window.end,
            at=at,
            because=f"{measured.window.label}: {self.told}",
            champion_version=champion,
        )

    @property
    def excess(self) -> float:
        """How many times the limit the loss is; 0 when it was not judged."""
        return 0.0 if self.value is None else self.value / max(self.limit or 0.0, 1e-12)


TOO_FEW = f"fewer than {FEWEST_WINDOWS} windows of labelled rows tell how windows differ anyway"
CHANCE_ONLY = f" The limit is of chance alone: {TOO_FEW}."


def limit_of(before: LossSketch, rows: int, *, quantile: float) -> tuple[float, bool]:
    """The larger of what chance gives, and of what windows differ anyway, if that is known."""
    chance = before.limit(rows, quantile=quantile)
    time = before.limit_over_time(quantile=quantile)
    return (chance, False) if time is None else (max(chance, time), True)
