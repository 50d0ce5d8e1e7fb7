"""How old data and champion are, by the clock."""

from dataclasses import dataclass, replace

from mlops_dagster.monitor.champion import serving_since
from mlops_dagster.monitor.evidence import newest_event, newest_that_came, still_to_come
from mlops_dagster.monitor.freshness import AgeVerdict, judge_data_age, judge_model_age
from mlops_dagster.monitor.looks import NO_CHAMPION, age_check, age_finding
from mlops_dagster.monitor.spec import FreshnessSpec
from mlops_dagster.records import Check, Finding, Outcome, Snapshot
from mlops_dagster.workbench import StepContext


@dataclass(frozen=True, slots=True, kw_only=True)
class Ages:
    """The verdicts on both ages; `model` is None while there is no champion."""

    data: AgeVerdict
    model: AgeVerdict | None

    def findings(self, context: StepContext, *, version: str | None) -> list[Finding]:
        """Write them down."""
        told = [
            age_finding(
                context.model, self.data, signal="data_age", at=context.at, champion=version
            )
        ]
        if self.model is not None:
            told.append(
                age_finding(
                    context.model, self.model, signal="model_age", at=context.at, champion=version
                )
            )
        return told

    def checks(self, spec: FreshnessSpec) -> tuple[Check, ...]:
        """Show them; that of the model only where its limit is declared."""
        data = age_check("data_fresh", self.data)
        if spec.max_model_age is None:
            return (data,)
        none = AgeVerdict(
            outcome=Outcome.NOT_APPLICABLE, because=NO_CHAMPION, hours=None, limit_hours=None
        )
        return data, age_check("model_fresh", self.model or none)


def judge_ages(
    context: StepContext, spec: FreshnessSpec, validated: Snapshot, *, version: str | None
) -> Ages:
    """Judge the newest event in the accepted rows, and since when the champion serves."""
    newest = newest_that_came(context, validated)
    data = judge_data_age(newest, now=context.at, limit=spec.max_age)
    if ahead := still_to_come(context, validated):
        last = f"{newest_event(context, validated):%Y-%m-%d}"
        told = f"{ahead:,} row(s) are dated after now, up to {last}, and are in no window."
        data = replace(data, because=f"{data.because} {told}")
    if version is None:
        return Ages(data=data, model=None)
    since = serving_since(context, version)
    model = judge_model_age(since, now=context.at, limit=spec.max_model_age, version=version)
    return Ages(data=data, model=model)
