"""Let the newest accepted version serve, or say what it waits for, or why it may not."""

import hashlib
from dataclasses import replace

from mlops_dagster.deploy.approval import APPROVAL, word_on
from mlops_dagster.deploy.canary import first_step, sentence, set_step, step_of
from mlops_dagster.deploy.contract import say_what_more_is_asked
from mlops_dagster.deploy.moves import Order, champion_lock, champion_of, move_champion, settle
from mlops_dagster.deploy.parity import Ways, prove_parity
from mlops_dagster.deploy.rollback import held_since, workers_of
from mlops_dagster.deploy.rules import LOADS, Ruling, Standing, by_hand, rule, unchanged_check
from mlops_dagster.deploy.spec import DeploySpec
from mlops_dagster.deploy.targets import target_of
from mlops_dagster.errors import ConflictError, NotFollowedError, StoreError
from mlops_dagster.records import (
    BARRED_TAG,
    WAITS_TAG,
    Check,
    Deployment,
    Outcome,
    RegisteredVersion,
    Shown,
)
from mlops_dagster.stores.registry import ModelVersion
from mlops_dagster.workbench import StepContext


def run(
    context: StepContext,
    spec: DeploySpec,
    registered: RegisteredVersion,
    *,
    ways: Ways | None = None,
) -> Deployment:
    """Decide about a registered version, and move the alias if it may serve.

    With `ways` it must answer alike in each of them first.
    Raises: StoreError when the version cannot be loaded or is not what was registered.
    """
    bench, model = context.bench, context.model
    with bench.operations.hold(champion_lock(model), holder=f"{context.run_id}/deployment"):
        settle(bench, model)
    version = bench.registry.version(registered.registered_name, registered.version)
    standing = standing_of(context, spec, registered, version)
    if why := context.config.get("follow"):
        return follow_alias(context, spec, registered, standing, why=why)
    standing, ruling = ruled(context, spec, standing, version)
    checks = [unchanged_check(ruling)]
    if ruling.action in {"move", "canary"} and ways is not None:
        proof = prove_parity(context, spec.parity, version, ways=ways)
        checks.append(proof)
        if proof.outcome is Outcome.REFUSED:
            ruling = Ruling(action="refuse", because=proof.because)
    if ruling.action == "canary":
        ruling = try_beside(context, spec, registered, ruling)
    elif ruling.action == "move":
        ruling, loads = carry_out(context, spec, standing, ruling)
        checks = [unchanged_check(ruling), loads, *checks[1:]]
    elif ruling.action == "keep" and spec.target.kind != "local":
        # Nothing but this step tells a foreign target what the alias says.
        said = follow(context, spec, standing.candidate)
        checks.append(Check(name=LOADS, outcome=Outcome.PASSED, because=said))
    say_why_it_waits(context, version, standing.held if ruling.action == "wait" else "")
    return deployment(context, registered, standing, ruling, tuple(checks))


def ruled(
    context: StepContext, spec: DeploySpec, standing: Standing, version: ModelVersion
) -> tuple[Standing, Ruling]:
    """Rule on a version that may serve only with what its callers would have to send besides in view."""
    ruling = rule(standing)
    told = standing.barred or standing.approval == "approved"
    if ruling.action in {"keep", "refuse"} or told:
        return standing, ruling
    more, unknown = say_what_more_is_asked(context, spec, version, standing.champion)
    held = " ".join(filter(None, [held_since(context.bench, context.model), more]))
    standing = replace(standing, held=held, unknown=unknown)
    return standing, rule(standing)


def say_why_it_waits(context: StepContext, version: ModelVersion, held: str) -> None:
    """Tell on the version why its promotion is held, for MLflow and `status`; nothing once it is not."""
    if version.tags.get(WAITS_TAG, "") != held:
        context.bench.registry.set_tags(version.name, version.version, {WAITS_TAG: held})


def standing_of(
    context: StepContext, spec: DeploySpec, registered: RegisteredVersion, version: ModelVersion
) -> Standing:
    """Gather what the rules judge."""
    bench = context.bench
    state, word = word_on(version)
    step = step_of(version)
    return Standing(
        candidate=registered.version,
        champion=champion_of(bench, context.model),
        judged_against=registered.judged_against,
        promotion=spec.promotion,
        approval=state,
        approved_by=word.who,
        approved_why=word.why,
        barred=version.tags.get(BARRED_TAG, ""),
        held=held_since(bench, context.model) or version.tags.get(WAITS_TAG, ""),
        in_steps=spec.canary is not None and bool(workers_of(bench, context.model)),
        canary_passed=step.passed if step else "",
    )


def try_beside(
    context: StepContext, spec: DeploySpec, registered: RegisteredVersion, ruling: Ruling
) -> Ruling:
    """Let the version answer a share of the keys; the sensor on live answers goes on from there."""
    if spec.canary is None:
        return ruling
    bench, model = context.bench, context.model
    with bench.operations.hold(champion_lock(model), holder=f"{context.run_id}/canary"):
        version = bench.registry.version(registered.registered_name, registered.version)
        step = step_of(version)
        if step is None:
            step = first_step(spec.canary)
            set_step(bench, model, version.version, step)
    told = sentence(registered.version, step, spec.canary)
    return Ruling(action="canary", because=f"{ruling.because} {told}")


def carry_out(
    context: StepContext, spec: DeploySpec, standing: Standing, ruling: Ruling
) -> tuple[Ruling, Check]:
    """Move the alias, and see that the target follows; if it does not, put the alias back.

    Another champion in the meantime is a refusal, a broken version an error.
    """
    order = Order(
        to_version=standing.candidate,
        expected=standing.judged_against,
        who=(by_hand(standing) and standing.approved_by) or f"run {context.run_id}",
        why=ruling.because,
    )
    loads = f"Version {standing.candidate} is what was registered, loads, and answers its example."
    target, followed = target_of(context.bench, context.model, spec), ""
    version = context.bench.registry.version(context.model.registered_name, order.to_version)

    def confirm() -> None:
        nonlocal followed
        try:
            followed = target.follow(version, within=spec.confirm_within)
        except StoreError as error:
            raise NotFollowedError(str(error)) from error

    try:
        if order.expected is None:
            # There is no version to put back: the move is done only once the target follows.
            move_champion(context.bench, context.model, order, confirm=confirm)
        else:
            move_champion(context.bench, context.model, order)
            confirm()
    except ConflictError as error:
        return Ruling(action="refuse", because=str(error)), Check(
            name=LOADS, outcome=Outcome.NOT_APPLICABLE, because="It was not its turn."
        )
    except NotFollowedError as error:
        return put_back_after(context, spec, order, str(error))
    return ruling, Check(name=LOADS, outcome=Outcome.PASSED, because=f"{loads} {followed}")


def follow_alias(
    context: StepContext,
    spec: DeploySpec,
    registered: RegisteredVersion,
    standing: Standing,
    *,
    why: str,
) -> Deployment:
    """Let the target follow the alias, which was moved already; decide about no version.

    Raises: StoreError when it does not follow.
    """
    if standing.champion is None:
        message = f"{context.model.address}: no version serves, so there is nothing to follow."
        raise StoreError(message)
    said = follow(context, spec, standing.champion)
    ruling = Ruling(action="keep", because=f"{why} {said}")
    checks = (unchanged_check(ruling), Check(name=LOADS, outcome=Outcome.PASSED, because=said))
    serving = replace(standing, candidate=standing.champion)
    return deployment(context, registered, serving, ruling, checks)


def follow(context: StepContext, spec: DeploySpec, version: str) -> str:
    """Let the target answer from the version that the alias names; give its sentence."""
    target = target_of(context.bench, context.model, spec)
    wanted = context.bench.registry.version(context.model.registered_name, version)
    return target.follow(wanted, within=spec.confirm_within)


def put_back_after(
    context: StepContext, spec: DeploySpec, order: Order, why: str
) -> tuple[Ruling, Check]:
    """Let what served before serve again, since the target did not follow.

    Without a version before, the move was undone already and the target is to forget this one.
    """
    because = f"The target did not follow. {why}"
    if order.expected is None:
        because += f" No version serves, as before. {withdraw(context, spec, order.to_version)}"
    else:
        back = Order(
            to_version=order.expected,
            expected=order.to_version,
            who=order.who,
            why=because,
            kind="rollback",
        )
        move_champion(context.bench, context.model, back)
        because += f" Version {order.expected} was put back."
        try:
            because += f" {follow(context, spec, order.expected)}"
        except StoreError as error:
            because += f" The target does not follow that either: {error}"
    refused = Check(name=LOADS, outcome=Outcome.REFUSED, because=because)
    return Ruling(action="refuse", because=because), refused


def withdraw(context: StepContext, spec: DeploySpec, version: str) -> str:
    """Let the target forget a version; give its sentence, or why it could not."""
    target = target_of(context.bench, context.model, spec)
    refused = context.bench.registry.version(context.model.registered_name, version)
    try:
        return target.withdraw(refused)
    except StoreError as error:
        return f"What the target has of it could not be removed: {error}"


def deployment(
    context: StepContext,
    registered: RegisteredVersion,
    standing: Standing,
    ruling: Ruling,
    checks: tuple[Check, ...],
) -> Deployment:
    """Write down which version serves now, and why."""
    moved = ruling.action == "move"
    serves = standing.candidate if ruling.action in {"move", "keep"} else standing.champion
    outcomes = {
        "move": Outcome.PASSED,
        "keep": Outcome.PASSED,
        "wait": Outcome.NOT_APPLICABLE,
        "canary": Outcome.NOT_APPLICABLE,
        "refuse": Outcome.REFUSED,
    }
    waiting = None
    if ruling.action == "wait":
        reason = ruling.because if standing.barred else standing.held
        waiting = f"{reason} {waiting_text(context, registered)}".strip()
    elif ruling.action == "canary":
        waiting = ruling.because
    return Deployment(
        **context.stamp(),
        data_version=f"champion:{hashlib.sha256(f'{registered.registered_name}/{serves}'.encode()).hexdigest()[:32]}",
        outcome=outcomes[ruling.action],
        because=waiting or ruling.because,
        checks=checks,
        registered_name=registered.registered_name,
        version=serves,
        previous=standing.champion if moved else None,
        waiting_for=waiting,
        shown={
            "serves": Shown(kind="text", value=f"version {serves}" if serves else "nothing"),
            "before": Shown(kind="text", value=f"version {standing.champion or '-'}"),
            "model": Shown(kind="text", value=f"models:/{registered.registered_name}@champion"),
        },
    )


def waiting_text(context: StepContext, registered: RegisteredVersion) -> str:
    """Say how a person lets the version serve."""
    model = context.model
    name = model.name if model.segment == "all" else f"{model.name}/{model.segment}"
    return (
        f"Version {registered.version} waits for a person: "
        f'mlops-dagster approve {name} --version {registered.version} --why "...", '
        f"or set the tag {APPROVAL}=approved on it in MLflow."
    )
