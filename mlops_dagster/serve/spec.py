"""What is declared about scoring."""

from datetime import timedelta
from typing import Literal

from pydantic import Field

from mlops_dagster.declaration import Duration, OptionalVariableName, Spec


class OnnxSpec(Spec):
    """Answer by the estimator as ONNX, where it answers the holdout alike: `mlops-dagster[onnx]`."""

    kind: Literal["onnx"] = "onnx"
    tolerance: float = Field(
        default=1e-6,
        gt=0,
        lt=0.1,
        description="How far an answer may be from scikit-learn's, absolutely and relative to its size.",
    )


class EndpointSpec(Spec):
    """How the live endpoint answers. Kept on each registered version, where the endpoint reads it."""

    durability: Literal["fsync", "os", "none"] = Field(
        default="fsync",
        description=(
            "When an answer may be given: its record survives a power failure (`fsync`), the end of the "
            "process (`os`), or nothing (`none`: no log at all)."
        ),
    )
    redact: tuple[str, ...] = Field(
        default=(), description="Columns whose values are not written to the prediction log."
    )
    shadow: bool = Field(
        default=False,
        description="Let the challenger score the same rows, after the answer, for the log alone.",
    )
    canary: float = Field(
        default=0.0, ge=0, le=1, description="Share of keys that the challenger answers, 0 to 1."
    )
    batch_rows: int = Field(default=4_096, ge=1, description="Most rows predicted at once.")
    queue_rows: int = Field(
        default=20_000, ge=1, description="Most rows that wait; more are told to come later (429)."
    )
    body_bytes: int = Field(
        default=16 * 2**20, ge=1_024, description="Largest body of a request, in bytes."
    )
    request_rows: int = Field(default=10_000, ge=1, description="Most rows in one request.")
    timeout: Duration = Field(
        default=timedelta(seconds=30),
        gt=timedelta(0),
        description="Longest wait for an answer (503 after it).",
    )
    seal_after: Duration = Field(
        default=timedelta(minutes=1),
        description="Age at which a log segment is closed, so that it can be taken into the table.",
    )
    accelerator: OnnxSpec | None = Field(
        default=None,
        description="What makes answers faster; used only for versions whose check `accelerator` passed.",
    )
    token_from: OptionalVariableName = Field(
        default="",
        description="Name of the environment variable that holds the bearer token; empty: none needed.",
    )


class ServeSpec(Spec):
    """How rows are scored: those whose target is still unknown, in windows of their event time."""

    window: Duration = Field(
        default=timedelta(days=1),
        gt=timedelta(0),
        description="Length of one window of predictions.",
    )
    chunk_rows: int = Field(
        default=65_536, ge=1_000, description="Rows scored at a time; memory stays flat in rows."
    )
    endpoint: EndpointSpec = Field(
        default_factory=EndpointSpec, description="How the live endpoint answers."
    )
