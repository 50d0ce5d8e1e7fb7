"""What one room hands to the next, in the order of a model's life. START READING HERE.

A record is small, immutable JSON. It names what was made (a table version, a registry version), says
how it ended (`outcome`, `because`) and carries what people see (`checks`, `shown`), so that a reused
step shows the same again. A record that was refused cannot be built upon.
"""

import math
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, TypeAlias

from pydantic import JsonValue

FORMAT = 1
JSON: TypeAlias = JsonValue


class Outcome(StrEnum):
    """How a step or a rule ended. `NOT_APPLICABLE` is never counted as a pass."""

    PASSED = "passed"
    REFUSED = "refused"
    NOT_APPLICABLE = "not_applicable"


class Severity(StrEnum):
    """What a failed rule does: `CRITICAL` blocks what comes after, the others only show."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One fact for people: `kind` says how to draw `value`. Pictures are `markdown`, < 100 kB."""

    kind: Literal["text", "markdown", "number", "integer", "url", "path", "json", "time", "columns"]
    value: JSON


def rounded(value: JSON) -> Any:
    """Round what has a fraction to six digits, as people read it; digits before the point stay."""
    if isinstance(value, list):
        return [rounded(one) for one in value]
    if not isinstance(value, float) or not math.isfinite(value):
        return value
    return float(round(value)) if abs(value) >= 100_000 else float(f"{value:.6g}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One rule's verdict, shown as an asset check of the same name."""

    name: str
    outcome: Outcome
    because: str
    severity: Severity = Severity.CRITICAL
    shown: dict[str, Shown] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRef:
    """The exact rows of one table: a version restores them, the digest proves them."""

    name: str
    version: int
    digest: str
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What all records share. `made_at` is the clock's time, `recorded_at` the wall's."""

    model: str
    segment: str
    run_id: str
    made_at: datetime
    recorded_at: datetime
    data_version: str
    outcome: Outcome = Outcome.PASSED
    because: str = ""
    fingerprint: str = ""
    reused: str = ""
    checks: tuple[Check, ...] = ()
    shown: dict[str, Shown] = field(default_factory=dict)
    format: int = FORMAT


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot(Record):
    """Rows at rest: `raw_data`, `validated_data`, `predictions`.

    `through` is the last batch number inside, `new_rows` what this step added, `newest` the largest
    event time. `lookups` are the second tables as they stood with it. `source_state` is what the source
    told before it was read; raw_data has it, unless the source cannot tell.
    """

    table: TableRef
    new_rows: int
    through: int
    newest: datetime | None = None
    lookups: dict[str, TableRef] = field(default_factory=dict)
    source_state: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureSet(Record):
    """Feature rows ready to fit, and where each came from.

    `table` holds `inputs` (what the model is given), `columns` (what the feature code makes of them),
    the key, the times and the target.
    """

    table: TableRef
    source: TableRef
    lookups: dict[str, TableRef]
    inputs: tuple[str, ...]
    columns: tuple[str, ...]
    code_digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedModel(Record):
    """A fitted model in tracking, not yet judged. `holdout` is the rows that it has not seen.

    With a training window, `since` is the time of the oldest row that it learned from.
    """

    mlflow_run_id: str
    model_id: str
    model_uri: str
    artifact_sha256: str
    features: TableRef
    holdout: TableRef
    source_digest: str
    code_digest: str
    git_commit: str
    git_dirty: bool
    rows: int
    since: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation(Record):
    """A verdict on one candidate, and the champion that it was judged against.

    `champion_gone` says that the files of that one are not there any more, so it was not.
    """

    mlflow_run_id: str
    model_id: str
    metrics: dict[str, float]
    champion_version: str | None
    champion_metrics: dict[str, float]
    champion_gone: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredVersion(Record):
    """A version in the registry. `judged_against` is the champion of its evaluation."""

    registered_name: str
    version: str
    model_id: str
    mlflow_run_id: str
    artifact_sha256: str
    judged_against: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment(Record):
    """Which version serves after this step, and which served before it."""

    registered_name: str
    version: str | None
    previous: str | None
    waiting_for: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Monitoring(Record):
    """What one look at data, model and predictions found."""

    findings: int
    alarms: int
    champion_version: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something `monitor` saw in one window, with the evidence needed to act on it."""

    model: str
    segment: str
    signal: Literal[
        "data_age",
        "model_age",
        "feature_drift",
        "prediction_drift",
        "slice_drift",
        "performance",
        "slice_performance",
        "estimated_performance",
        "failed_check",
        "refused_data",
        "endpoint_health",
        "feature_skew",
    ]
    subject: str
    outcome: Outcome
    value: float | None
    limit: float | None
    rows: int
    window_start: datetime | None
    window_end: datetime | None
    at: datetime
    because: str
    champion_version: str | None = None
    severity: Literal["", "minor", "moderate", "major"] = ""

    @property
    def window(self) -> str:
        """Which stretch of time or which batch it is about; later ones sort behind."""
        if self.window_end is not None:
            return self.window_end.isoformat()
        _, mark, batch = self.subject.rpartition(" @ batch ")
        return f"batch {int(batch):012d}" if mark and batch.isdecimal() else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A yes or a no to one more run, or a move on live answers, always with the reason as a sentence."""

    model: str
    segment: str
    action: Literal["update", "retrain", "canary", "rollback", "none"]
    reason: str
    because: str
    at: datetime
    run_key: str = ""
    evidence: dict[str, JSON] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """One change of what serves, as the ledger keeps it. `state` open is an intent not yet done."""

    model: str
    segment: str
    registered_name: str
    from_version: str | None
    to_version: str | None
    who: str
    why: str
    kind: Literal["promotion", "rollback", "approval", "external"]
    state: Literal["open", "done", "undone"]
    at: datetime
    recorded_at: datetime
    id: int = 0


NOUNS: dict[str, type[Record]] = {
    "raw_data": Snapshot,
    "validated_data": Snapshot,
    "features": FeatureSet,
    "trained_model": TrainedModel,
    "evaluation": Evaluation,
    "registered_model": RegisteredVersion,
    "deployment": Deployment,
    "predictions": Snapshot,
    "labels": Snapshot,
    "monitoring": Monitoring,
}

# What a registered version says of itself: the tags that rooms read of one another's work.
OUTCOME_TAG = "mlops_dagster.outcome"
APPROVAL_TAG = "mlops_dagster.approval"
BARRED_TAG = "mlops_dagster.barred"
CANARY_TAG = "mlops_dagster.canary"
HOLDOUT_TAG = "mlops_dagster.holdout_table"
JUDGED_AGAINST_TAG = "mlops_dagster.judged_against"
SERVING_TAG = "mlops_dagster.serving"
WAITS_TAG = "mlops_dagster.waits"
ACCELERATOR_TAG = "mlops_dagster.accelerator"
SHA256_TAG = "mlops_dagster.artifact_sha256"
