"""Which findings may ask for a retrain, and how they are told. Pure."""

from collections.abc import Sequence

from mlops_dagster.records import Finding, Outcome
from mlops_dagster.retrain.spec import RetrainSpec

_SEVERITIES = ("", "minor", "moderate", "major")


def of_signal(findings: Sequence[Finding], signal: str) -> list[Finding]:
    """Pick the findings over their limit of one signal, in their order."""
    return [one for one in findings if one.signal == signal and one.outcome is Outcome.REFUSED]


def drift_alarms(policy: RetrainSpec, findings: Sequence[Finding]) -> list[Finding]:
    """Pick the drift over its limit that the policy listens to, in the windows that count."""
    heard = [one for one in findings if one.signal in policy.drift_signals]
    counted = last_windows(policy, heard)
    refused = [one for one in heard if one.outcome is Outcome.REFUSED]
    return [one for one in refused if one.window in counted]


def last_windows(policy: RetrainSpec, heard: Sequence[Finding]) -> set[str]:
    """Name the windows that count: the last ones judged, or all since the last training."""
    judged = [one.window for one in heard if one.outcome is not Outcome.NOT_APPLICABLE]
    return set(sorted(set(judged))[-policy.of_windows :] if policy.of_windows else judged)


def asking_alarms(policy: RetrainSpec, findings: Sequence[Finding]) -> list[Finding]:
    """Pick the drift alarms that are severe enough to ask. One of unknown severity is."""
    return [one for one in drift_alarms(policy, findings) if not _only_informs(policy, one)]


def minor_alarms(policy: RetrainSpec, findings: Sequence[Finding]) -> list[Finding]:
    """Pick the drift alarms that only inform."""
    return [one for one in drift_alarms(policy, findings) if _only_informs(policy, one)]


def _only_informs(policy: RetrainSpec, alarm: Finding) -> bool:
    least = _SEVERITIES.index(policy.drift_severity)
    return bool(alarm.severity) and _SEVERITIES.index(alarm.severity) < least


def drift_sentence(policy: RetrainSpec, findings: Sequence[Finding]) -> str:
    """Say in how many windows drift was found, and the worst of it."""
    alarms = asking_alarms(policy, findings)
    worst = max(alarms, key=lambda one: (one.value or 0) / (one.limit or 1))
    windows = len({one.window for one in alarms})
    among = f"the last {policy.of_windows} windows" if policy.of_windows else "window(s)"
    told = f"{windows} of {among}" if policy.of_windows else f"{windows} {among}"
    needed = f" ({policy.alarm_windows} needed)" if policy.alarm_windows > 1 else ""
    return (
        f"{len(alarms)} drift alarm(s) since the last training, in {told}{needed}; "
        f"worst: {worst.because}"
    )


def held_sentence(hindrance: str, asked: Sequence[tuple[str, str]]) -> str:
    """Say what hinders, and what would have been done without it."""
    if not asked:
        return hindrance
    return f"{hindrance} Held back: {' '.join(sentence for _, sentence in asked)}"
