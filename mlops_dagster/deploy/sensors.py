"""The sensors that pick up a person's approval, and what the live answers say of a version."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg

from mlops_dagster.asked_runs import RUN_KEY, key_to_ask
from mlops_dagster.declaration import ModelIdentity
from mlops_dagster.deploy.approval import APPROVED_AT
from mlops_dagster.deploy.spec import DeploySpec
from mlops_dagster.errors import MlopsError
from mlops_dagster.records import APPROVAL_TAG
from mlops_dagster.resources import MODEL, SEGMENT, WorkbenchResource, status_of
from mlops_dagster.stores.registry import CHALLENGER, CHAMPION
from mlops_dagster.workbench import Workbench

if TYPE_CHECKING:
    from mlops_dagster.deploy.watch import Sight

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
        default_status=status_of(running=running),
    )
    def approvals(
        context: dg.SensorEvaluationContext, mlops_dagster: WorkbenchResource
    ) -> dg.SensorResult:
        bench = mlops_dagster.open()
        requests, said = [], []
        for model in models:
            try:
                version, because = approved_version(bench, model)
                if version:
                    # A version that was rolled back since may be approved once more.
                    told = bench.registry.version(model.registered_name, version).tags
                    why = f"approved {told.get(APPROVED_AT, '')}".strip()
                    asked = Asked(model=model, version=version, because=because, why=why)
                    requests += asked.requests(context.instance, bench)
            except MlopsError as error:
                # One registry that does not answer must not silence the other models.
                context.log.exception("%s could not be read", model.registered_name)
                because = f"{model.address}: {error}"
            said.append(because)
        return dg.SensorResult(
            run_requests=requests, skip_reason=None if requests else dg.SkipReason(" ".join(said))
        )

    return approvals


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One run of the job that deploys, asked for until it ran: `why` and `version` name it."""

    model: ModelIdentity
    version: str
    because: str
    why: str
    config: Mapping[str, Any] | None = None

    def requests(self, instance: dg.DagsterInstance, bench: Workbench) -> list[dg.RunRequest]:
        """Give the request that is due; none while its run is open, and after it ended."""
        model = self.model
        named = f"{self.why}:{model.address}:{self.version}"
        run_key = key_to_ask(instance, bench, model, named)
        if run_key is None:
            return []
        tags = {MODEL: model.name, SEGMENT: model.segment, RUN_KEY: run_key}
        return [
            dg.RunRequest(
                run_key=run_key,
                job_name=model.job("deploy"),
                run_config=self.config,
                tags=tags | {"mlops_dagster/because": self.because},
            )
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployed:
    """One model as the sensor on live answers sees it. `asset` is the key of its deployment."""

    model: ModelIdentity
    spec: DeploySpec
    asset: dg.AssetKey


def build_live_sensor(
    deployed: Sequence[Deployed],
    *,
    name: str,
    jobs: Sequence[Any],
    running: bool,
    interval: timedelta,
) -> dg.SensorDefinition:
    """Watch what the endpoint answers after a promotion, and during one in steps."""

    @dg.sensor(
        name=name,
        jobs=jobs,
        minimum_interval_seconds=int(interval.total_seconds()),
        description=(
            "Steps a canary on or stops it, and puts back the version before when live answers get worse "
            "after a promotion."
        ),
        default_status=status_of(running=running),
    )
    def live(
        context: dg.SensorEvaluationContext, mlops_dagster: WorkbenchResource
    ) -> dg.SensorResult:
        from mlops_dagster.deploy.watch import watch

        bench = mlops_dagster.open()
        requests, events, said = [], [], []
        for one in deployed:
            try:
                sight = watch(bench, one.model, one.spec)
                said.append(sight.because)
                if sight.action in {"step", "stop", "rollback"}:
                    context.log.warning(sight.because)
                    events.append(_told(one, sight))
                for asked in _asked(one, bench, sight):
                    requests += asked.requests(context.instance, bench)
            except MlopsError as error:
                # One registry that does not answer must not silence the other models.
                context.log.exception("%s could not be watched", one.model.registered_name)
                said.append(f"{one.model.address}: {error}")
        skipped = None if requests else dg.SkipReason(" ".join(said))
        return dg.SensorResult(run_requests=requests, asset_events=events, skip_reason=skipped)

    return live


def _asked(deployed: Deployed, bench: Workbench, sight: "Sight") -> list[Asked]:
    """Ask for what is to be deployed: a version whose canary passed, or what a rollback put back."""
    follow = _follow(deployed, bench)
    asked = [follow] if follow else []
    if sight.action == "serve":
        model, version, because = deployed.model, sight.version, sight.because
        asked += [Asked(model=model, version=version, because=because, why="canary_passed")]
    return asked


def _follow(deployed: Deployed, bench: Workbench) -> Asked | None:
    """Ask for the step that lets a foreign target follow a rollback: a tick may not take so long."""
    from mlops_dagster.deploy.watch import rolled_back

    model = deployed.model
    move = rolled_back(bench, model) if deployed.spec.target.kind != "local" else None
    if move is None:
        return None
    step = "__".join(deployed.asset.path)
    return Asked(
        model=model,
        version=str(move.from_version),
        because=f"Version {move.from_version} was rolled back to version {move.to_version}. {move.why}",
        why=f"rolled_back_{move.id}",
        config={"ops": {step: {"config": {"follow": move.why}}}},
    )


def _told(deployed: Deployed, sight: "Sight") -> dg.AssetObservation:
    return dg.AssetObservation(
        asset_key=deployed.asset,
        description=sight.because,
        metadata={"what": sight.action, "version": sight.version, "because": sight.because},
    )


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
