"""One look at skew: a finding, a check, and a table. It informs; no retrain asks for it."""

from dataclasses import dataclass, field
from datetime import datetime

from mlops_dagster.declaration import ModelIdentity
from mlops_dagster.monitor.served import Lake
from mlops_dagster.monitor.skew import FeatureSkew, Skew
from mlops_dagster.monitor.skew_check import check_skew
from mlops_dagster.monitor.spec import SkewSpec
from mlops_dagster.records import Check, Finding, Outcome, Severity, Shown

SIGNAL = "feature_skew"
NO_KEY = "The model declares no key, which would name an answer's row in the lake."
NO_ANSWERS = "No live answers yet."
SHOWN = 3
EXAMPLES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class SkewLook:
    """What one look at skew gave."""

    findings: list[Finding] = field(default_factory=list)
    checks: tuple[Check, ...] = ()
    shown: dict[str, Shown] = field(default_factory=dict)


def watch_skew(lake: Lake, spec: SkewSpec | None, *, at: datetime, version: str | None) -> SkewLook:
    """Compare the newest live answers, if that is declared and there are some."""
    if spec is None:
        return SkewLook()
    if not lake.model.key:
        return SkewLook(checks=(_check(Outcome.NOT_APPLICABLE, NO_KEY),))
    skew = check_skew(lake, newest=spec.newest, examples=EXAMPLES)
    if skew is None:
        return SkewLook(checks=(_check(Outcome.NOT_APPLICABLE, NO_ANSWERS),))
    outcome, because = verdict(skew)
    return SkewLook(
        findings=[_finding(lake.model, skew, outcome, because, at=at, version=version)],
        checks=(_check(outcome, because),),
        shown={"skew": Shown(kind="markdown", value=_table(skew))} if skew.worst else {},
    )


def verdict(skew: Skew) -> tuple[Outcome, str]:
    """Judge what was compared: any difference is one too many."""
    left = "".join(f" Not compared: {count:,}, {why}." for why, count in skew.not_compared.items())
    if not skew.compared:
        told = f"None of {skew.answers:,} live answers could be compared with the lake.{left}"
        return Outcome.NOT_APPLICABLE, told
    if not skew.differing:
        told = f"{skew.compared:,} live answers have the features that the lake gives.{left}"
        return Outcome.PASSED, told
    named = ", ".join(_share(one) for one in skew.worst[:SHOWN])
    more = f", and {len(skew.worst) - SHOWN} more" if len(skew.worst) > SHOWN else ""
    return Outcome.REFUSED, (
        f"{skew.differing:,} of {skew.compared:,} live answers have other features than the lake gives "
        f"for their keys: {named}{more}.{left}"
    )


def _share(one: FeatureSkew) -> str:
    return f"{one.feature} in {one.differing:,} ({one.share:.1%})"


def _check(outcome: Outcome, because: str) -> Check:
    return Check(name=SIGNAL, outcome=outcome, because=because, severity=Severity.WARNING)


def _finding(
    model: ModelIdentity,
    skew: Skew,
    outcome: Outcome,
    because: str,
    *,
    at: datetime,
    version: str | None,
) -> Finding:
    return Finding(
        model=model.name,
        segment=model.segment,
        signal="feature_skew",
        subject="live answers",
        outcome=outcome,
        value=skew.differing / skew.compared if skew.compared else None,
        limit=0.0,
        rows=skew.compared,
        window_start=None,
        window_end=None,
        at=at,
        because=because,
        champion_version=version,
    )


def _table(skew: Skew) -> str:
    lines = ["| feature | prediction id | served | of the lake |", "|---|---|---:|---:|"]
    lines += [
        f"| {one.feature} | {each.prediction_id} | {each.served} | {each.recomputed} |".replace(
            "\n", " "
        )
        for one in skew.worst
        for each in one.examples
    ]
    return "\n".join(lines)
