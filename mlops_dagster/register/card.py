"""A version's card in markdown: what it was made of, how it did, and what is not known of it."""

from dataclasses import dataclass
from datetime import datetime

from mlops_dagster.declaration import ModelIdentity
from mlops_dagster.records import Check, Evaluation, Outcome, TrainedModel

_SIGNS = {
    Outcome.PASSED: "passed",
    Outcome.REFUSED: "refused",
    Outcome.NOT_APPLICABLE: "not judged",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The first and the last event time of some rows; None where rows have no time."""

    first: datetime | None = None
    last: datetime | None = None

    def __str__(self) -> str:
        """Write it as two dates."""
        if self.first is None or self.last is None:
            return "no event time"
        return f"{self.first:%Y-%m-%d} to {self.last:%Y-%m-%d}"


def write_card(
    model: ModelIdentity,
    trained: TrainedModel,
    evaluation: Evaluation,
    *,
    seen: Span,
    held_out: Span,
) -> str:
    """Write the card. `seen` are all labelled rows, `held_out` those that it was judged on."""
    verdict = "Accepted" if evaluation.outcome is Outcome.PASSED else "Refused"
    return "\n".join(
        [
            f"**{verdict}.** {evaluation.because}",
            "",
            about(model),
            "",
            "## Data",
            f"- {trained.features.rows:,} labelled rows, {seen}; learned from {trained.rows:,}{_since(trained)}",
            f"- held out: {trained.holdout.rows:,} rows, {held_out}",
            f"- data version `{trained.data_version}`, features `{trained.features.digest}`",
            f"- feature code `{trained.code_digest}`, {_commit(trained)}",
            f"- files SHA-256 `{trained.artifact_sha256}`",
            "",
            "## Metrics on the rows that were held out",
            *_metrics(evaluation),
            "",
            "## Gates",
            *([_gate(check) for check in evaluation.checks] or ["None declared."]),
            "",
            "## Limits",
            *_limits(evaluation, held_out),
        ]
    )


def about(model: ModelIdentity) -> str:
    """Say what the model is for."""
    return model.description or f"Predicts `{model.target}` ({model.task.value})."


def _since(trained: TrainedModel) -> str:
    return f", from {trained.since:%Y-%m-%d} on" if trained.since else ""


def _commit(trained: TrainedModel) -> str:
    if not trained.git_commit:
        return "no git repository"
    dirty = " with uncommitted changes" if trained.git_dirty else ""
    return f"git `{trained.git_commit[:12]}`{dirty}"


def _metrics(evaluation: Evaluation) -> list[str]:
    rival = evaluation.champion_version
    rows = [
        f"| {name} | {value:.4f} | {_number(evaluation.champion_metrics.get(name))} |"
        for name, value in evaluation.metrics.items()
    ]
    champion = f"champion (version {rival})" if rival else "champion (none)"
    return [f"| metric | this version | {champion} |", "|---|---|---|", *rows]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _gate(check: Check) -> str:
    return f"- {check.name}: {_SIGNS[check.outcome]}. {check.because}"


def _limits(evaluation: Evaluation, held_out: Span) -> list[str]:
    limits = ["- Judged on the held out rows alone: rows unlike them may be answered worse."]
    if held_out.last:
        limits.append(f"- Nothing is known of it after {held_out.last:%Y-%m-%d}.")
    limits += [
        f"- {check.name} was not judged: {check.because}"
        for check in evaluation.checks
        if check.outcome is Outcome.NOT_APPLICABLE
    ]
    return limits
