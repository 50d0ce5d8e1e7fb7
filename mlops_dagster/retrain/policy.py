"""Yes or no to one more training, from facts alone. Time and state are arguments; nothing is read."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, TypeAlias

from mlops_dagster.declaration import ModelIdentity, write_duration
from mlops_dagster.records import JSON, Decision, Finding
from mlops_dagster.retrain.alarms import (
    asking_alarms,
    drift_sentence,
    held_sentence,
    minor_alarms,
    of_signal,
)
from mlops_dagster.retrain.spec import RetrainSpec

WEEK = timedelta(days=7)
Asked: TypeAlias = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What is known of a model when a decision is due.

    `new_rows` are labelled rows accepted since the last training. `findings` are those since the last
    training, alarms or not. `open_run` names a run of the model that still renews its lease, or waits
    to start. `retrains` are the instants of those asked for in the last seven days.
    """

    now: datetime
    data_version: str | None
    champion: str | None
    champion_since: datetime | None
    new_rows: int
    last_retrain: datetime | None
    open_run: str | None
    findings: Sequence[Finding]
    retrains: Sequence[datetime] = ()


def decide(model: ModelIdentity, policy: RetrainSpec, situation: Situation) -> Decision:
    """Decide whether to retrain now, and say why in a sentence."""
    if situation.data_version is None:
        return answer(model, policy, situation, because="No accepted data yet.")
    asked = triggers(policy, situation)
    if situation.open_run:
        because = f"A run of this model is still open ({situation.open_run})."
        return answer(model, policy, situation, because=held_sentence(because, asked))
    if situation.champion is None and situation.last_retrain is None:
        first = "No model was trained yet."
        return answer(model, policy, situation, reason="first_model", because=first)
    if not asked:
        return answer(model, policy, situation, because=quiet_sentence(policy, situation))
    if hindrance := hindrance_of(policy, situation):
        return answer(model, policy, situation, because=held_sentence(hindrance, asked))
    wish = " ".join(sentence for _, sentence in asked)
    return answer(model, policy, situation, reason=asked[0][0], because=wish)


def triggers(policy: RetrainSpec, situation: Situation) -> list[Asked]:
    """List what asks for a retrain, each with its sentence, in the order of the declaration."""
    sentences = {name: sentence_of(name, policy, situation) for name in policy.triggers}
    return [(name, sentence) for name, sentence in sentences.items() if sentence]


def sentence_of(name: str, policy: RetrainSpec, situation: Situation) -> str:
    """Say why one of the triggers asks; empty when it does not."""
    match name:
        case "new_data" if situation.new_rows >= max(policy.min_new_rows, 1):
            return f"{situation.new_rows:,} new labelled rows (needed {policy.min_new_rows:,})."
        case "stale_model":
            return stale_sentence(policy, situation)
        case "drift":
            return drift_sentence(policy, situation.findings) if asks(policy, situation) else ""
        case "performance" if fallen := of_signal(situation.findings, "performance"):
            return f"Labelled loss over its limit: {fallen[-1].because}"
        case "failed_check" if failed := of_signal(situation.findings, "failed_check"):
            return f"Check failed: {failed[-1].because}"
        case _:
            return ""


def asks(policy: RetrainSpec, situation: Situation) -> bool:
    """Tell whether drift was found in enough windows."""
    windows = {one.window for one in asking_alarms(policy, situation.findings)}
    return len(windows) >= policy.alarm_windows


def hindrance_of(policy: RetrainSpec, situation: Situation) -> str:
    """Name what holds an asked retrain back, or nothing."""
    if situation.last_retrain and situation.now < situation.last_retrain + policy.cooldown:
        until = situation.last_retrain + policy.cooldown
        return (
            f"Cooldown of {write_duration(policy.cooldown)} until {until:%Y-%m-%d %H:%M} UTC "
            f"(last retrain {situation.last_retrain:%Y-%m-%d %H:%M})."
        )
    if len(situation.retrains) >= policy.most_per_week:
        free = sorted(situation.retrains)[-policy.most_per_week] + WEEK
        return (
            f"The budget of {policy.most_per_week} retrain(s) a week is used up until "
            f"{free:%Y-%m-%d %H:%M} UTC."
        )
    if situation.new_rows < policy.min_new_rows:
        return f"Only {situation.new_rows:,} new labelled rows; {policy.min_new_rows:,} are needed."
    return ""


def stale_sentence(policy: RetrainSpec, situation: Situation) -> str:
    """Say how old the champion is, if it is past its age."""
    if situation.champion_since is None:
        return ""
    age = situation.now - situation.champion_since
    if age <= policy.max_model_age:
        return ""
    limit = write_duration(policy.max_model_age)
    return f"Version {situation.champion} is {age.days} days old (limit {limit})."


def quiet_sentence(policy: RetrainSpec, situation: Situation) -> str:
    """Say what was looked at when nothing asked."""
    looked = ", ".join(policy.triggers)
    told = f"Nothing asks for a retrain ({looked}); {situation.new_rows:,} new labelled rows."
    minor = minor_alarms(policy, situation.findings)
    if minor:
        told += f" {len(minor)} minor alarm(s) only inform, the last: {minor[-1].because}"
    if asking_alarms(policy, situation.findings) and "drift" in policy.triggers:
        told += f" Held back: {drift_sentence(policy, situation.findings)}"
    return told


def answer(
    model: ModelIdentity,
    policy: RetrainSpec,
    situation: Situation,
    *,
    because: str,
    reason: str = "none",
) -> Decision:
    """Write the decision. The key of a yes is the same whenever the same facts are judged again."""
    when = situation.last_retrain.isoformat() if situation.last_retrain else "never"
    key = f"retrain:{model.address}:{situation.data_version}:after:{when}"
    action: Literal["none", "retrain"] = "none" if reason == "none" else "retrain"
    return Decision(
        model=model.name,
        segment=model.segment,
        action=action,
        reason=reason,
        because=because,
        at=situation.now,
        run_key=key if action == "retrain" else "",
        evidence=evidence_of(policy, situation),
    )


def evidence_of(policy: RetrainSpec, situation: Situation) -> dict[str, JSON]:
    """Keep the numbers that a decision was made from."""
    return {
        "new_rows": situation.new_rows,
        "champion": situation.champion,
        "alarms": len(asking_alarms(policy, situation.findings)),
        "minor_alarms": len(minor_alarms(policy, situation.findings)),
        "retrains_this_week": len(situation.retrains),
    }
