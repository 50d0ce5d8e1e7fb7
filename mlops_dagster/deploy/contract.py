"""What a version would ask of the callers besides what they send now."""

from mlops_dagster.deploy.rollback import workers_of
from mlops_dagster.deploy.spec import DeploySpec
from mlops_dagster.errors import StoreError
from mlops_dagster.scoring.loader import load_verified
from mlops_dagster.scoring.questions import schema_of
from mlops_dagster.stores.registry import ModelVersion
from mlops_dagster.workbench import StepContext


def asks_for_more(
    context: StepContext, spec: DeploySpec, version: ModelVersion, champion: str | None
) -> str:
    """Name the columns that a version needs of every row and the champion does not; empty when none.

    Where nobody asks (no champion, or no endpoint), nobody is to be told.
    """
    asked = spec.target.kind != "local" or workers_of(context.bench, context.model)
    if champion in {None, version.version} or not asked:
        return ""
    before = context.bench.registry.version(version.name, str(champion))
    try:
        more = [name for name in needed(context, version) if name not in needed(context, before)]
    except StoreError as error:
        context.log.warning("What callers must send was not compared: %s", error)
        return ""
    if not more:
        return ""
    return (
        f"Callers must send {', '.join(map(repr, more))} from this version on, null where it is unknown; "
        f"version {champion} does not ask for it. Have them send it first: it is left aside until then."
    )


def needed(context: StepContext, version: ModelVersion) -> list[str]:
    """Name the columns that a version needs of every row."""
    return schema_of(load_verified(context.bench.registry, version)).needed()
