"""What Prometheus reads: latency, rows, errors, queue, version, log."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from mlops_dagster.serve.endpoint.answering import Answered, Role

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_REMEMBERED = 4_096


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One answered request, as the page shows it: when (monotonic s), how long (s), which status."""

    at: float
    seconds: float
    status: int
    rows: int
    version: str


@dataclass
class Metrics:
    """The counters of one worker. Shares no global registry, so that tests may have several."""

    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    recent: deque[Seen] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))

    def __post_init__(self) -> None:
        self.requests = Counter(
            "mlops_requests",
            "Requests, by path and status.",
            ["path", "status"],
            registry=self.registry,
        )
        self.latency = Histogram(
            "mlops_request_seconds",
            "Time to an answer, by version.",
            ["version"],
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.rows = Counter(
            "mlops_rows",
            "Rows scored, by version and role.",
            ["version", "role"],
            registry=self.registry,
        )
        self.batches = Counter("mlops_batches", "Batches predicted.", registry=self.registry)
        self.queue = Gauge("mlops_queue_rows", "Rows that wait.", registry=self.registry)
        self.log_bytes = Gauge(
            "mlops_log_unsealed_bytes", "Bytes in the log's open segment.", registry=self.registry
        )
        self.log_lag = Gauge(
            "mlops_log_lag_seconds",
            "Age of the oldest log segment that is not in the table yet.",
            registry=self.registry,
        )
        self.live = Gauge(
            "mlops_live_version",
            "1 for the version that answers.",
            ["version"],
            registry=self.registry,
        )

    def batch(self, role: Role, version: str, answers: Sequence[Answered | Exception]) -> None:
        """Count what one version scored of a batch."""
        self.batches.inc()
        rows = sum(one.rows for one in answers if isinstance(one, Answered))
        self.rows.labels(version, role).inc(rows)

    def request(self, seen: Seen, *, path: str) -> None:
        """Count one request."""
        self.requests.labels(path, str(seen.status)).inc()
        if seen.version:
            self.latency.labels(seen.version).observe(seen.seconds)
        self.recent.append(seen)

    def text(self, *, version: str) -> bytes:
        """Write all of it as Prometheus reads it."""
        self.live.clear()
        self.live.labels(version).set(1)
        return generate_latest(self.registry)
