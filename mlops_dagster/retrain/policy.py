"""Yes or no to one more training, from facts alone. Time and state are arguments; nothing is read."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from mlops_dagster.declaration import ModelIdentity, write_duration
from mlops_dagster.records import Decision, Finding, Outcome
from mlops_dagster.retrain.spec import RetrainSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What is known of a model when a decision is due.

    `new_rows` are labelled rows accepted since the last training. `findings` are those since the last
    training. `open_run` names a run of the model that still renews its lease, or waits to start.
    """

    now: datetime
    data_version: str | None
    champion: str | None
    champion_since: datetime | None
    new_rows: int
    last_retrain: datetime | None
    open_run: str | None
    findings: Sequence[Finding]


def decide(model: ModelIdentity, policy: RetrainSpec, situation: Situation) -> Decision:
    """Decide whether to retrain now, and say why in a sentence."""
    obstacle = standing_obstacle(situation)
    if obstacle:
        return no(model, situation, obstacle)
    if situation.champion is None and situation.last_retrain is None:
        return yes(model, situation, "first_model", "No model was trained yet.")
    asked = triggers(policy, situation)
    if not asked:
        return no(model, situation, quiet_sentence(policy, situation))
    if hindrance := hindrance_of(policy, situation):
        wish = " ".join(sentence for _, sentence in asked)
        return no(model, situation, f"{hindrance} Held back: {wish}")
    reason = asked[0][0]
    return yes(model, situation, reason, " ".join(sentence for _, sentence in asked))


def standing_obstacle(situation: Situation) -> str:
    """Name what makes any training impossible now, or nothing."""
    if situation.data_version is None:
        return "No accepted data yet."
    if situation.open_run:
        return f"A run of this model is still open ({situation.open_run})."
    return ""


def triggers(policy: RetrainSpec, situation: Situation) -> list[tuple[str, str]]:
    """List what asks for a retrain, each with its sentence, in the order of the declaration."""
    found: list[tuple[str, str]] = []
    for name in policy.triggers:
        match name:
            case "new_data" if situation.new_rows >= max(policy.min_new_rows, 1):
                need = policy.min_new_rows
                found.append((name, f"{situation.new_rows:,} new labelled rows (needed {need:,})."))
            case "stale_model" if sentence := stale_sentence(policy, situation):
                found.append((name, sentence))
            case "drift" if alarms := drift_alarms(policy, situation):
                found.append((name, alarm_sentence(alarms)))
            case "failed_check" if failed := failed_checks(situation):
                found.append((name, f"Check failed: {failed[-1].because}"))
            case _:
                pass
    return found


def hindrance_of(policy: RetrainSpec, situation: Situation) -> str:
    """Name what holds an asked retrain back, or nothing."""
    if situation.last_retrain and situation.now < situation.last_retrain + policy.cooldown:
        until = situation.last_retrain + policy.cooldown
        return (
            f"Cooldown of {write_duration(policy.cooldown)} until {until:%Y-%m-%d %H:%M} UTC "
            f"(last retrain {situation.last_retrain:%Y-%m-%d %H:%M})."
        )
    if situation.new_rows < policy.min_new_rows:
        return f"Only {situation.new_rows:,} new labelled rows; {policy.min_new_rows:,} are needed."
    return ""


def drift_alarms(policy: RetrainSpec, situation: Situation) -> list[Finding]:
    """Pick the drift findings over their limit that the policy listens to."""
    return [
        one
        for one in situation.findings
        if one.signal in policy.drift_signals and one.outcome is Outcome.REFUSED
    ]


def failed_checks(situation: Situation) -> list[Finding]:
    """Pick the data checks that failed."""
    return [
        one
        for one in situation.findings
        if one.signal == "failed_check" and one.outcome is Outcome.REFUSED
    ]


def stale_sentence(policy: RetrainSpec, situation: Situation) -> str:
    """Say how old the champion is, if it is past its age."""
    if situation.champion_since is None:
        return ""
    age = situation.now - situation.champion_since
    if age <= policy.max_model_age:
        return ""
    limit = write_duration(policy.max_model_age)
    return f"Version {situation.champion} is {age.days} days old (limit {limit})."


def alarm_sentence(alarms: Sequence[Finding]) -> str:
    """Say which window drifted worst."""
    worst = max(alarms, key=lambda one: (one.value or 0) / (one.limit or 1))
    return f"{len(alarms)} drift alarm(s) since the last training; worst: {worst.because}"


def quiet_sentence(policy: RetrainSpec, situation: Situation) -> str:
    """Say what was looked at when nothing asked."""
    looked = ", ".join(policy.triggers)
    return f"Nothing asks for a retrain ({looked}); {situation.new_rows:,} new labelled rows."


def no(model: ModelIdentity, situation: Situation, because: str) -> Decision:
    """Decide against a run."""
    return Decision(
        model=model.name,
        segment=model.segment,
        action="none",
        reason="none",
        because=because,
        at=situation.now,
    )


def yes(model: ModelIdentity, situation: Situation, reason: str, because: str) -> Decision:
    """Decide for a run. The key is the same whenever the same facts are judged again."""
    when = situation.last_retrain.isoformat() if situation.last_retrain else "never"
    key = f"retrain:{model.address}:{situation.data_version}:after:{when}"
    return Decision(
        model=model.name,
        segment=model.segment,
        action="retrain",
        reason=reason,
        because=because,
        at=situation.now,
        run_key=key,
        evidence={
            "new_rows": situation.new_rows,
            "champion": situation.champion,
            "alarms": len(situation.findings),
        },
    )
