"""What is declared about telling people."""

from typing import Annotated, Literal

from pydantic import Field

from mlops_dagster.declaration import Spec, VariableName

Signal = Literal[
    "data_age",
    "model_age",
    "feature_drift",
    "prediction_drift",
    "performance",
    "slice_performance",
    "slice_drift",
    "estimated_performance",
    "endpoint_health",
    "endpoint_down",
    "feature_skew",
    "failed_check",
    "overdue",
    "failed_run",
]


class WebhookSpec(Spec):
    """A POST of JSON with `text`, as Slack, Mattermost, Teams or your own receiver take it."""

    kind: Literal["webhook"] = "webhook"
    url_variable: VariableName = Field(
        description="Name of the environment variable with the address, which is a secret."
    )
    token_variable: VariableName | None = Field(
        default=None, description="Name of the variable with a bearer token, if one is needed."
    )


class EmailSpec(Spec):
    """An e-mail by SMTP."""

    kind: Literal["email"] = "email"
    server: str = Field(description="Host name of the SMTP server.", examples=["smtp.example.com"])
    port: int = Field(default=587, ge=1, le=65535)
    starttls: bool = Field(
        default=True, description="Encrypt the connection; off only for a server on this machine."
    )
    sender: str = Field(examples=["models@example.com"])
    to: tuple[str, ...] = Field(min_length=1, examples=[["ada@example.com"]])
    user_variable: VariableName | None = Field(
        default=None, description="Name of the environment variable with the user."
    )
    password_variable: VariableName | None = Field(
        default=None, description="Name of the environment variable with the password."
    )


class AppriseSpec(Spec):
    """Anything that Apprise knows: `pip install 'mlops-dagster[apprise]'`."""

    kind: Literal["apprise"] = "apprise"
    url_variable: VariableName = Field(
        description="Name of the environment variable with Apprise's address, which is a secret."
    )


Channel = Annotated[WebhookSpec | EmailSpec | AppriseSpec, Field(discriminator="kind")]


class NotifySpec(Spec):
    """Who is told, of what. Without channels nobody is."""

    channels: tuple[Channel, ...] = Field(default=(), description="Where messages go.")
    signals: tuple[Signal, ...] = Field(
        default=(
            "data_age",
            "model_age",
            "prediction_drift",
            "performance",
            "slice_performance",
            "endpoint_health",
            "endpoint_down",
            "feature_skew",
            "failed_check",
            "overdue",
            "failed_run",
        ),
        description=(
            "What is told; drift of features or of slices, and estimates, only when they are named."
        ),
    )
    runbook: str = Field(
        default="docs/runbook.md",
        description="Address of the page that says what to do; `#<signal>` is added to it.",
    )
