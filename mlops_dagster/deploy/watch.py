"""Looks at what the endpoint answers: steps a canary on, stops it, or puts back what served before."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from mlops_dagster.clock import wall_now
from mlops_dagster.declaration import ModelIdentity
from mlops_dagster.deploy.approval import bar
from mlops_dagster.deploy.canary import Step, next_step, set_step, step_of
from mlops_dagster.deploy.health import Health, judge
from mlops_dagster.deploy.moves import champion_lock, champion_of, changes
from mlops_dagster.deploy.rollback import roll_back, workers_of
from mlops_dagster.deploy.spec import CanarySpec, DeploySpec
from mlops_dagster.records import BARRED_TAG, Decision, Finding, Move, Outcome
from mlops_dagster.stores.operations import FindingFilter
from mlops_dagster.stores.registry import CHALLENGER, ModelVersion
from mlops_dagster.stores.traffic import Traffic, together
from mlops_dagster.workbench import Workbench

WATCH = "the watch on live answers"
QUALITY = frozenset({"performance"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What was seen and done: `serve` asks for a deployment, `stop` and `rollback` were incidents."""

    action: Literal["none", "step", "serve", "stop", "rollback"]
    because: str
    version: str = ""


def watch(bench: Workbench, model: ModelIdentity, spec: DeploySpec) -> Sight:
    """Judge the live answers of a model once, and act on it.

    Raises: ConflictError when the champion is being moved at this moment.
    """
    told = [one for worker in workers_of(bench, model) for one in worker.traffic]
    if not told and spec.target.kind == "local":
        return Sight(action="none", because=f"{model.address}: no endpoint answers.")
    baking = _bake(bench, model, spec, told)
    if baking and baking.action == "rollback":
        return baking
    on_trial = _canary(bench, model, spec, told) or baking
    return on_trial or Sight(action="none", because=f"{model.address}: nothing is on trial.")


def _bake(
    bench: Workbench, model: ModelIdentity, spec: DeploySpec, told: Sequence[Traffic]
) -> Sight | None:
    """Watch a version that went live a short time ago; None when none did."""
    moves = changes(bench.operations, model.name, model.segment)
    last = moves[-1] if moves else None
    if last is None or last.kind == "rollback" or last.from_version is None:
        return None
    if wall_now() - last.recorded_at >= spec.bake or champion_of(bench, model) != last.to_version:
        return None
    version = str(last.to_version)
    live = together(told, part="live", version=version)
    health = judge(live, together(told, part="before", version=last.from_version), spec.health)
    worse = health.because if health.state == "worse" else _labelled_loss(bench, model, last)
    if not worse:
        return Sight(
            action="none",
            because=f"{model.address}: version {version} is watched. {health.because}",
            version=version,
        )
    move = roll_back(bench, model, who=WATCH, why=worse, expected=version)
    because = (
        f"Version {version} was rolled back to version {move.to_version}, {_ago(last)} after it went "
        f"live. {worse}"
    )
    if spec.target.kind != "local":
        because += f" The job {model.job('deploy')} lets the deployment follow."
    _incident(bench, model, version, because, health=live, action="rollback")
    return Sight(action="rollback", because=because, version=version)


def rolled_back(bench: Workbench, model: ModelIdentity) -> Move | None:
    """Tell the rollback by the watch that what serves stands on; None when another move came after."""
    moves = changes(bench.operations, model.name, model.segment)
    last = moves[-1] if moves else None
    return last if last and last.kind == "rollback" and last.who == WATCH else None


def _labelled_loss(bench: Workbench, model: ModelIdentity, last: Move) -> str:
    only = FindingFilter(
        signals=QUALITY, outcome=Outcome.REFUSED, champion=last.to_version, since=last.at
    )
    found = bench.operations.newest_findings(model.name, model.segment, limit=1, only=only)
    return found[0].because if found else ""


def _canary(
    bench: Workbench, model: ModelIdentity, spec: DeploySpec, told: Sequence[Traffic]
) -> Sight | None:
    """Watch a challenger that answers a share of the keys; None when none does."""
    challenger = bench.registry.by_alias(model.registered_name, CHALLENGER)
    step = step_of(challenger) if challenger else None
    if challenger is None or step is None or spec.canary is None:
        return None
    if challenger.tags.get(BARRED_TAG) or champion_of(bench, model) == challenger.version:
        return None
    if step.passed:
        because = (
            f"{model.address}: the canary of version {challenger.version} passed. {step.passed}"
        )
        return Sight(action="serve", because=because, version=challenger.version)
    canary = together(told, part="canary", version=challenger.version)
    health = judge(canary, together(told, part="beside"), spec.health)
    with bench.operations.hold(champion_lock(model), holder=WATCH):
        return _act(bench, model, challenger, step, spec.canary, health=health, canary=canary)


def _act(
    bench: Workbench,
    model: ModelIdentity,
    challenger: ModelVersion,
    step: Step,
    spec: CanarySpec,
    *,
    health: Health,
    canary: Traffic | None,
) -> Sight:
    version = challenger.version
    if health.state == "worse":
        why = f"Stopped at {step.share:.0%} of the keys. {health.because}"
        bar(bench, model, version, why=why)
        because = f"The canary of version {version} was stopped at {step.share:.0%} of the keys. {health.because}"
        _incident(bench, model, version, because, health=canary, action="canary")
        return Sight(action="stop", because=because, version=version)
    after = next_step(step, spec, health, now=wall_now())
    if after is None:
        because = f"{model.address}: version {version} answers {step.share:.0%} of the keys. {health.because}"
        return Sight(action="none", because=because, version=version)
    set_step(bench, model, version, after)
    then = "it may serve" if after.passed else f"{after.share:.0%} next"
    because = (
        f"Version {version} was well at {step.share:.0%} of the keys: {then}. {health.because}"
    )
    _decide(bench, model, because, action="canary", reason="canary")
    return Sight(action="serve" if after.passed else "step", because=because, version=version)


def _incident(
    bench: Workbench,
    model: ModelIdentity,
    version: str,
    because: str,
    *,
    health: Traffic | None,
    action: Literal["canary", "rollback"],
) -> None:
    """Keep what happened, as a finding and as a decision."""
    finding = Finding(
        model=model.name,
        segment=model.segment,
        signal="endpoint_health",
        subject=f"version {version}",
        outcome=Outcome.REFUSED,
        value=health.error_rate if health else None,
        limit=None,
        rows=health.requests if health else 0,
        window_start=health.since if health else None,
        window_end=wall_now(),
        at=bench.clock.now(),
        because=because,
        champion_version=version,
    )
    bench.operations.add_findings([finding])
    _decide(bench, model, because, action=action, reason="endpoint_health")


def _decide(
    bench: Workbench,
    model: ModelIdentity,
    because: str,
    *,
    action: Literal["canary", "rollback"],
    reason: str,
) -> None:
    bench.operations.add_decision(
        Decision(
            model=model.name,
            segment=model.segment,
            action=action,
            reason=reason,
            because=because,
            at=bench.clock.now(),
            evidence={"by": WATCH},
        )
    )


def _ago(move: Move) -> str:
    minutes = (wall_now() - move.recorded_at).total_seconds() / 60
    return f"{minutes:.0f} minutes" if minutes >= 2 else f"{minutes * 60:.0f} seconds"
