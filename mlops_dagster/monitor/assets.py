"""The `monitoring` asset of a model."""

from typing import Any

from mlops_dagster.declaration import LabelJoin, ModelIdentity
from mlops_dagster.monitor.spec import MonitorSpec
from mlops_dagster.records import JSON, Monitoring, Snapshot
from mlops_dagster.stage import Stage, StageCheck
from mlops_dagster.workbench import StepContext

CHECKS = (
    StageCheck(
        name="data_fresh", description="The newest event in the data is younger than its limit."
    ),
    StageCheck(
        name="feature_drift",
        description="Features are distributed as where the champion was fitted, window by window.",
    ),
    StageCheck(
        name="prediction_drift",
        description="Answers are distributed as where the champion was fitted, window by window.",
    ),
)

MODEL_CHECK = StageCheck(name="model_fresh", description="The champion is younger than its limit.")

SKEW_CHECK = StageCheck(
    name="feature_skew",
    description="Live answers were asked with the features that the lake gives for their keys.",
)

PERFORMANCE_CHECKS = (
    StageCheck(
        name="performance",
        description="The loss of labelled answers is within the bootstrap of the holdout's, window by window.",
    ),
    StageCheck(
        name="slice_performance",
        description="The same of each slice, over all of them together.",
    ),
    StageCheck(
        name="slice_drift",
        description="Answers within each slice are distributed as in the holdout, over all together.",
    ),
    StageCheck(
        name="estimated_performance",
        description="The loss that is expected before labels come; blind to concept drift.",
    ),
)


def build_stage(
    model: ModelIdentity,
    spec: MonitorSpec,
    *,
    join: Any = None,
    joins: JSON = None,
    labels: LabelJoin | None = None,
) -> Stage:
    """Say how `monitoring` is made: ages by the clock, drift of each new window.

    `join` adds to rows what second tables knew, as `joins` declares: `(context, rows, snapshot) -> rows`.
    `labels` says how the declared source of labels is joined to predictions.
    """

    def run(context: StepContext, validated: Snapshot) -> Monitoring:
        from mlops_dagster.monitor.run import keep_rows, run

        return run(context, spec, validated, join=join or keep_rows, labels=labels)

    def identify(context: StepContext, validated: Snapshot) -> JSON:
        from mlops_dagster.monitor.due import state_of

        return state_of(context, spec, validated)

    return Stage(
        noun="monitoring",
        room="monitor",
        description=(
            f"How old {model.name}'s data and champion are, and how far features and predictions "
            "moved from what the champion was fitted on, window by window."
        ),
        run=run,
        identify=identify,
        kinds=frozenset({"python"}),
        needs=("validated_data",),
        after=("predictions", "labels") if labels else ("predictions",),
        checks=(
            *CHECKS,
            *((MODEL_CHECK,) if spec.freshness.max_model_age else ()),
            *((SKEW_CHECK,) if spec.skew else ()),
            *(PERFORMANCE_CHECKS if spec.performance else ()),
        ),
        settings={
            "spec": spec.model_dump(mode="json"),
            "joins": joins,
            "labels": labels.model_dump(mode="json") if labels else None,
        },
        config={
            "since": "ISO 8601 time from which windows are judged again; else since the last look."
        },
    )
