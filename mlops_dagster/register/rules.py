"""What a version is registered as, from its records alone."""

import hashlib
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from mlops_dagster.errors import GateRefusedError
from mlops_dagster.records import (
    APPROVAL_TAG,
    HOLDOUT_TAG,
    JUDGED_AGAINST_TAG,
    OUTCOME_TAG,
    SHA256_TAG,
    Check,
    Evaluation,
    Outcome,
    TrainedModel,
)

if TYPE_CHECKING:
    from mlops_dagster.stores.tracking import RunOwner

ACCEPTED = "candidate_accepted"
ALONE = "loads_alone"
ACCELERATOR = "accelerator"
OUTCOME = OUTCOME_TAG
BECAUSE = "mlops_dagster.because"
APPROVAL = APPROVAL_TAG
JUDGED_AGAINST = JUDGED_AGAINST_TAG
SHA256 = SHA256_TAG
_TAG_LENGTH = 1_000
_TAG_REFUSES = re.compile(r"[^\w\-. :/]")

Promotion = Literal["automatic", "manual"]


def refuse_another_verdict(trained: TrainedModel, evaluation: Evaluation) -> None:
    """Refuse a verdict that is on another model. Raises: GateRefusedError with the way out."""
    if trained.model_id == evaluation.model_id:
        return
    message = (
        f"{trained.model}/registered_model: the evaluation of run {evaluation.run_id} judged "
        f"{evaluation.model_id}, but the trained model is {trained.model_id}. Materialize evaluation "
        "first; nothing was registered."
    )
    raise GateRefusedError(message)


def outcome_of(evaluation: Evaluation) -> tuple[Outcome, str]:
    """Say whether a candidate is accepted, and why; what was not judged is not accepted."""
    if evaluation.outcome is Outcome.PASSED:
        return Outcome.PASSED, evaluation.because or "It passed every gate."
    return Outcome.REFUSED, evaluation.because or "It was not judged."


def version_tags(
    trained: TrainedModel,
    evaluation: Evaluation,
    *,
    promotion: Promotion,
    known: Mapping[str, str],
    owner: "RunOwner",
) -> dict[str, str]:
    """Gather what a version says of itself. `known` are the tags of a version that is there already."""
    outcome, because = outcome_of(evaluation)
    return {
        OUTCOME: outcome.value,
        BECAUSE: because[:_TAG_LENGTH],
        APPROVAL: approval_of(evaluation, promotion=promotion, known=known),
        JUDGED_AGAINST: evaluation.champion_version or "none",
        SHA256: trained.artifact_sha256,
        "mlops_dagster.data_version": trained.data_version,
        "mlops_dagster.source_digest": trained.source_digest,
        "mlops_dagster.features_digest": trained.features.digest,
        "mlops_dagster.features_table": f"{trained.features.name}@{trained.features.version}",
        HOLDOUT_TAG: f"{trained.holdout.name}@{trained.holdout.version}",
        "mlops_dagster.code_digest": trained.code_digest,
        "mlops_dagster.git_commit": trained.git_commit or "unknown",
        "mlops_dagster.git_dirty": str(trained.git_dirty).lower(),
        "dagster.run_id": owner.run_id,
        "dagster.url": owner.dagster_url,
        **{tag_key(f"metric.{name}"): repr(value) for name, value in evaluation.metrics.items()},
    }


def approval_of(evaluation: Evaluation, *, promotion: Promotion, known: Mapping[str, str]) -> str:
    """Say whether a person is waited for. A word that was given holds for the verdict it was given on."""
    outcome, _ = outcome_of(evaluation)
    if promotion == "automatic" or outcome is not Outcome.PASSED:
        return "not_needed"
    same = known.get(JUDGED_AGAINST) == (evaluation.champion_version or "none")
    return known[APPROVAL] if same and known.get(APPROVAL) == "approved" else "pending"


def tag_key(name: str) -> str:
    """Make a name that MLflow takes for a tag."""
    return _TAG_REFUSES.sub("_", name)[:250]


def accepted_check(evaluation: Evaluation, *, version: str) -> Check:
    """Show whether the candidate may go on, and stop the run if not."""
    outcome, because = outcome_of(evaluation)
    word = "challenger" if outcome is Outcome.PASSED else "refused, never challenger"
    said = f"Version {version} ({word}): {because}"
    if outcome is not Outcome.PASSED and evaluation.champion_gone:
        said += (
            f" The files of version {evaluation.champion_version} are gone: what still serves it cannot be "
            "started again, and `update` cannot score with it. Put its files back, or roll back to another "
            "version; the next candidate that passes every other gate takes its place."
        )
    elif outcome is not Outcome.PASSED and evaluation.champion_version:
        said += (
            f" Version {evaluation.champion_version} serves on; the job `update` takes in new rows and "
            "scores them with it."
        )
    return Check(name=ACCEPTED, outcome=outcome, because=said)


def alone_check(evaluation: Evaluation) -> Check:
    """Show that the version gives its example's predictions without its source."""
    outcome, _ = outcome_of(evaluation)
    if outcome is not Outcome.PASSED:
        because = "A refused candidate is never loaded."
        return Check(name=ALONE, outcome=Outcome.NOT_APPLICABLE, because=because)
    because = "It answers its example alike without your source and beside a changed one."
    return Check(name=ALONE, outcome=Outcome.PASSED, because=because)


def record_digest(name: str, version: str, evaluation: Evaluation) -> str:
    """Digest what was registered, and as what."""
    told = f"{name}/{version}/{outcome_of(evaluation)[0]}/{evaluation.champion_version}"
    return f"v1:{hashlib.sha256(told.encode()).hexdigest()[:32]}"
