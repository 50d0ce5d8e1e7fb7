"""The asset `predictions`."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mlops_dagster.declaration import ModelIdentity, write_duration
from mlops_dagster.records import JSON, Record, Snapshot
from mlops_dagster.serve.endpoint.prediction_log import seal_what_was_left, sealed_segments
from mlops_dagster.serve.spec import ServeSpec
from mlops_dagster.stage import Stage
from mlops_dagster.stores.registry import CHAMPION
from mlops_dagster.workbench import StepContext

if TYPE_CHECKING:
    import pyarrow as pa


def build_stage(
    model: ModelIdentity,
    spec: ServeSpec,
    *,
    join: "Callable[[StepContext, pa.Table, Snapshot], pa.Table]",
    joins: JSON = None,
) -> Stage:
    """Declare the stage `predictions`; `join` adds what the second tables knew, as `joins` declares."""

    def run(context: StepContext, *records: Any) -> Record:
        from mlops_dagster.serve.run import run as work

        return work(context, spec, *records, join=join)

    def identify(context: StepContext, validated: Snapshot) -> JSON:
        champion = context.bench.registry.by_alias(model.registered_name, CHAMPION)
        folder = context.bench.serving_log(model.name, model.segment)
        # One that is still written to is taken in once it is sealed: that makes the difference.
        seal_what_was_left(folder)
        return [
            validated.data_version,
            validated.table.version,
            champion.version if champion else None,
            *(segment.name for segment in sealed_segments(folder)),
        ]

    return Stage(
        noun="predictions",
        room="serve",
        description=(
            f"Predictions of {model.target} for the rows where it is still unknown, by the "
            f"champion, in windows of {write_duration(spec.window)}. Scoring again replaces, never doubles."
        ),
        kinds=frozenset({"deltalake", "mlflow"}),
        needs=("validated_data",),
        after=("deployment",),
        config={"window": "Start of one window, in UTC, to score again; default: what is new."},
        settings={"spec": spec.model_dump(mode="json"), "joins": joins},
        identify=identify,
        run=run,
    )
