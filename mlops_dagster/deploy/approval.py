"""A person's word on a version: kept on the version, where the deployment and the sensor read it."""

from dataclasses import dataclass

from mlops_dagster.declaration import ModelIdentity
from mlops_dagster.errors import GateRefusedError
from mlops_dagster.records import APPROVAL_TAG, BARRED_TAG, CANARY_TAG, OUTCOME_TAG
from mlops_dagster.stores.registry import CHALLENGER, ModelVersion
from mlops_dagster.workbench import Workbench

APPROVAL = APPROVAL_TAG
APPROVED_BY = "mlops_dagster.approved_by"
APPROVED_WHY = "mlops_dagster.approved_why"
APPROVED_AT = "mlops_dagster.approved_at"
OUTCOME = OUTCOME_TAG


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """Who approved, and why."""

    who: str
    why: str


def approve(
    bench: Workbench, model: ModelIdentity, version: str, *, who: str, why: str
) -> ModelVersion:
    """Approve a version. The approval sensor, or the job `<model>_deploy`, then lets it serve.

    It lifts the bar of a version that was rolled back, or whose canary was stopped.
    Raises: GateRefusedError for a version that was refused by its gates or is not the one that waits,
    or without a reason.
    """
    if not who.strip() or not why.strip():
        message = (
            f"{model.registered_name} version {version}: an approval needs a name and a reason."
        )
        raise GateRefusedError(message)
    found = bench.registry.version(model.registered_name, version)
    if found.tags.get(OUTCOME) == "refused":
        message = (
            f"{model.registered_name} version {version} was refused by its gates: "
            f"{found.tags.get('mlops_dagster.because', '')} It cannot be approved."
        )
        raise GateRefusedError(message)
    waiting = bench.registry.by_alias(model.registered_name, CHALLENGER)
    if waiting and waiting.version != version:
        message = (
            f"{model.registered_name} version {version} does not wait: version {waiting.version} is "
            "challenger. Approve that one."
        )
        raise GateRefusedError(message)
    tags = {
        APPROVAL: "approved",
        APPROVED_BY: who,
        APPROVED_WHY: why,
        APPROVED_AT: bench.clock.now().isoformat(),
    }
    tags |= {name: "" for name in (BARRED_TAG, CANARY_TAG) if found.tags.get(BARRED_TAG)}
    bench.registry.set_tags(model.registered_name, version, tags)
    return bench.registry.version(model.registered_name, version)


def bar(bench: Workbench, model: ModelIdentity, version: str, *, why: str) -> None:
    """Let a version serve only once somebody approves it again: what was said of it before is over."""
    said = dict.fromkeys((APPROVAL, APPROVED_BY, APPROVED_WHY, APPROVED_AT), "")
    bench.registry.set_tags(model.registered_name, version, {**said, BARRED_TAG: why})


def word_on(version: ModelVersion) -> tuple[str, Word]:
    """Read what was said of a version: the state, and by whom and why."""
    return (
        version.tags.get(APPROVAL, "pending"),
        Word(who=version.tags.get(APPROVED_BY, ""), why=version.tags.get(APPROVED_WHY, "")),
    )
