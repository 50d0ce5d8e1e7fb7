"""What a version would ask of the callers besides what they must send now."""

from datetime import timedelta

from mlops_dagster.deploy.rollback import workers_of
from mlops_dagster.deploy.spec import DeploySpec
from mlops_dagster.errors import StoreError
from mlops_dagster.scoring.questions import needed_of
from mlops_dagster.stores.registry import ModelVersion
from mlops_dagster.workbench import StepContext

LATELY = timedelta(hours=1)
"""An endpoint that answered so lately has callers, whether or not it starts again just now."""


def say_what_more_is_asked(
    context: StepContext, spec: DeploySpec, version: ModelVersion, champion: str | None
) -> tuple[str, str]:
    """Say which columns a version needs of every row and the champion does not, and what is not known.

    Both are empty where nothing more is asked, or nobody asks: no champion, no endpoint.
    """
    registry = context.bench.registry
    answers = workers_of(context.bench, context.model, within=LATELY)
    nobody = spec.target.kind == "local" and not answers
    if nobody or champion is None or champion == version.version:
        return "", ""
    try:
        before = needed_of(registry.download(registry.version(version.name, champion)))
        after = needed_of(registry.download(version))
    except StoreError as error:
        return "", f"What callers must send was not compared: {error}"
    more = [name for name in after if name not in before]
    if not more:
        return "", ""
    return (
        f"Callers must send {', '.join(map(repr, more))} from version {version.version} on, null where "
        f"unknown. Version {champion} ignores what it does not know, so they may send it before."
    ), ""
