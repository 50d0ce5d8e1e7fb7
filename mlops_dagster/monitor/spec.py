"""What is declared about watching a model."""

from datetime import timedelta

from pydantic import Field

from mlops_dagster.declaration import BusinessValue, Duration, Spec

SAFE_ROWS = 30


class FreshnessSpec(Spec):
    """How old things may get, by the clock. What is left out is never called stale."""

    max_age: Duration | None = Field(
        default=None,
        description="Largest age of the newest event in the data, a duration such as 36h.",
    )
    max_model_age: Duration | None = Field(
        default=None,
        description="Longest time that one champion may serve, a duration such as 30d.",
    )


class DriftSpec(Spec):
    """How features and predictions are compared with what the champion was fitted on."""

    window: Duration = Field(
        default=timedelta(days=7),
        gt=timedelta(0),
        description="Length of one window by event time, a duration such as 7d.",
    )
    false_alarms: float = Field(
        default=0.01,
        gt=0,
        lt=0.5,
        description="Share of windows without drift that may alarm, over all columns together.",
    )
    minimum_rows: int = Field(
        default=300,
        ge=SAFE_ROWS,
        description="Fewest rows a window is judged on; below it is not applicable.",
    )
    columns: tuple[str, ...] = Field(
        default=(),
        description="The features to compare; empty means all of them.",
    )
    exclude: tuple[str, ...] = Field(
        default=(),
        description="Features that are not compared, such as one that grows by its nature.",
    )
    most_windows: int = Field(
        default=60,
        ge=1,
        le=1000,
        description="Most windows judged in one run; the oldest come first, the next run goes on.",
    )


class PerformanceSpec(Spec):
    """How good answers turn out to be once labels come, and are estimated to be before."""

    window: Duration = Field(
        default=timedelta(days=7),
        gt=timedelta(0),
        description="Length of one window by event time, a duration such as 7d.",
    )
    metrics: tuple[str, ...] = Field(
        default=(), description="Metrics by name; default: those of `evaluate`."
    )
    slices: tuple[str, ...] = Field(
        default=(),
        description="Inputs whose values are judged apart; default: the slices of `evaluate`.",
    )
    false_alarms: float = Field(
        default=0.01,
        gt=0,
        lt=0.5,
        description="Share of unchanged windows that may alarm; over all slices together again.",
    )
    minimum_labels: int = Field(
        default=200,
        ge=SAFE_ROWS,
        description="Fewest labels that a loss is judged on; below it is not applicable.",
    )
    most_windows: int = Field(
        default=60, ge=1, le=1000, description="The newest windows; older labels change nothing."
    )
    business: BusinessValue | None = Field(
        default=None, description="What a decision is worth; default: that of `evaluate`."
    )


class SkewSpec(Spec):
    """How what callers sent is compared with what the lake holds of the same keys."""

    newest: int = Field(
        default=1_000, ge=1, le=1_000_000, description="How many of the newest live answers."
    )


class MonitorSpec(Spec):
    """What is watched. Without `drift` and `performance` only ages are."""

    @property
    def longest_silence(self) -> timedelta | None:
        """Tell the time without a look after which monitoring is overdue."""
        age = self.freshness.max_age
        return self.overdue_after or (age * 2 if age else None)

    freshness: FreshnessSpec = Field(
        default_factory=FreshnessSpec, description="How old data and model may get."
    )
    overdue_after: Duration | None = Field(
        default=None,
        description=(
            "Longest time without a look; then that itself is an incident. Left out: twice "
            "freshness.max_age, and where that is left out too, nothing is overdue."
        ),
    )
    drift: DriftSpec | None = Field(
        default=None,
        description="How features and predictions are compared; left out, they are not.",
    )
    performance: PerformanceSpec | None = Field(
        default=None,
        description="How answers are held against labels; left out, they are not.",
    )

    skew: SkewSpec | None = Field(
        default_factory=SkewSpec,
        description="How served features are compared with the lake's; null: they are not.",
    )

    @property
    def reference_window(self) -> timedelta:
        """Tell the length of the windows that a model's reference is cut into."""
        declared = self.drift or self.performance
        return declared.window if declared else timedelta(days=7)

    @property
    def looks(self) -> bool:
        """Tell whether the champion itself is looked at."""
        return self.drift is not None or self.performance is not None
