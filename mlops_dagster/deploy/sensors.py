"""The sensor that picks up a person's approval, by command or by MLflow tag."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import dagster as dg

from mlops_dagster.declaration import ModelIdentity
from mlops_dagster.errors import MlopsError
from mlops_dagster.records import APPROVAL_TAG
from mlops_dagster.resources import MODEL, SEGMENT, WorkbenchResource
from mlops_dagster.stores.registry import CHALLENGER, CHAMPION
from mlops_dagster.workbench import Workbench

APPROVAL = APPROVAL_TAG


def build_approval_sensor(
    models: Sequence[ModelIdentity],
    *,
    name: str,
    jobs: Sequence[Any],
    running: bool,
    interval: timedelta,
) -> dg.SensorDefinition:
    """Watch the challengers that wait for a person."""

    @dg.sensor(
        name=name,
        jobs=jobs,
        minimum_interval_seconds=int(interval.total_seconds()),
        description="Sees that a waiting version was approved, and lets it go live.",
        default_status=(
            dg.DefaultSensorStatus.RUNNING if running else dg.DefaultSensorStatus.STOPPED
        ),
    )
    def approvals(
        context: dg.SensorEvaluationContext, mlops_dagster: WorkbenchResource
    ) -> dg.SensorResult:
        bench = mlops_dagster.open()
        requests, said = [], []
        for model in models:
            try:
                version, because = approved_version(bench, model)
            except MlopsError as error:
                # One registry that does not answer must not silence the other models.
                context.log.exception("%s could not be read", model.registered_name)
                version, because = None, f"{model.address}: {error}"
            said.append(because)
            if version:
                requests.append(_request(model, version, because))
        return dg.SensorResult(
            run_requests=requests, skip_reason=None if requests else dg.SkipReason(" ".join(said))
        )

    return approvals


def approved_version(bench: Workbench, model: ModelIdentity) -> tuple[str | None, str]:
    """Find the challenger that was approved and does not serve yet, and say what there is."""
    challenger = bench.registry.by_alias(model.registered_name, CHALLENGER)
    if challenger is None:
        return None, f"{model.address}: no version waits."
    champion = bench.registry.by_alias(model.registered_name, CHAMPION)
    if champion and champion.version == challenger.version:
        return None, f"{model.address}: version {champion.version} serves already."
    if challenger.tags.get(APPROVAL) != "approved":
        return None, f"{model.address}: version {challenger.version} waits for an approval."
    return challenger.version, f"{model.address}: version {challenger.version} was approved."


def _request(model: ModelIdentity, version: str, because: str) -> dg.RunRequest:
    return dg.RunRequest(
        run_key=f"approved:{model.address}:{version}",
        job_name=model.job("deploy"),
        tags={MODEL: model.name, SEGMENT: model.segment, "mlops_dagster/because": because},
    )
