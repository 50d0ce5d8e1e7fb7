"""How an incident reads. Pure."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Literal

from mlops_dagster.declaration import ModelIdentity
from mlops_dagster.records import JSON

WHAT = {
    "data_age": "its data is past its age",
    "model_age": "the live version is past its age",
    "feature_drift": "its features drifted",
    "prediction_drift": "its answers drifted",
    "performance": "its measured quality fell",
    "slice_performance": "its measured quality fell in a slice",
    "slice_drift": "its answers drifted in a slice",
    "estimated_performance": "its estimated quality fell",
    "endpoint_health": "its live answers are not well",
    "endpoint_down": "its endpoint is down, or does not follow",
    "feature_skew": "it is asked with other features than the lake gives",
    "failed_check": "a check of its data failed",
    "overdue": "nobody looked at it for too long",
    "failed_run": "a run failed",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message: an incident that began, or that is over."""

    model: str
    segment: str
    kind: str
    state: Literal["open", "over"]
    incident: int
    title: str
    text: str
    runbook: str
    at: datetime

    def as_json(self) -> dict[str, JSON]:
        """Give what a webhook is sent; `text` alone is enough for a chat."""
        told = asdict(self) | {"at": self.at.isoformat()}
        return told | {"text": f"{self.title}\n{self.text}"}


def message_of(
    model: ModelIdentity,
    *,
    incident: int,
    kind: str,
    because: str,
    serving: str,
    runbook: str,
    at: datetime,
    over: bool = False,
) -> Message:
    """Write an incident's message, with what still serves and where it is said what to do."""
    name = model.name if model.segment == "all" else model.address
    signal, _, detail = kind.partition(":")
    what = WHAT[signal] + (f" ({detail})" if detail else "")
    page = f"{runbook}#{signal}"
    body = [because, serving] + ([] if over else [f"What to do: {page}"])
    return Message(
        model=model.name,
        segment=model.segment,
        kind=kind,
        state="over" if over else "open",
        incident=incident,
        title=f"{name}: over: {what}" if over else f"{name}: {what}",
        text="\n".join(one for one in body if one),
        runbook=page,
        at=at,
    )
