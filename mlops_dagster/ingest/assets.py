"""The assets `raw_data` and `labels` of a model."""

from datetime import timedelta
from typing import Any

from mlops_dagster.declaration import ModelIdentity
from mlops_dagster.errors import SpecError
from mlops_dagster.ingest.spec import AssetSource, IngestSpec, LabelsSpec, SqlSource
from mlops_dagster.records import Snapshot
from mlops_dagster.stage import Stage, StageCheck
from mlops_dagster.workbench import StepContext


def build_stage(
    model: ModelIdentity, spec: IngestSpec, *, max_age: timedelta | None = None
) -> Stage:
    """Say how `raw_data` is made. It is never reused: a read always looks at the source.

    `max_age` is how old the asset may get before Dagster calls it stale.
    Raises: SpecError when a lookback has no key, or a column is left out that the model needs.
    """
    if spec.lookback is not None and not model.key:
        message = (
            f"{model.name}.ingest.lookback: without a key, rows that are read again cannot be told "
            "from new ones. Declare key, or leave lookback out."
        )
        raise SpecError(message)

    used = {*model.key, model.target, model.event_time, spec.cursor}
    if needed := sorted(one for one in spec.without if one in used):
        message = f"{model.name}.ingest.without: {needed} cannot be left out; the model is declared by it."
        raise SpecError(message)

    def run(context: StepContext, **values: Any) -> Snapshot:
        from mlops_dagster.ingest.run import run

        return run(context, spec, **values)

    source = spec.source
    return Stage(
        noun="raw_data",
        room="ingest",
        description=f"Rows of {model.name} as the {source.kind} source gave them, read incrementally.",
        run=run,
        kinds=frozenset({"deltalake", "sql" if isinstance(source, SqlSource) else "python"}),
        assets={"source_rows": source.key} if isinstance(source, AssetSource) else {},
        checks=(
            StageCheck(
                name="source_as_before",
                description="The source has no new column, none that is written otherwise, and at least half of its rows.",
            ),
        ),
        settings=spec.model_dump(mode="json"),
        max_age=max_age,
    )


def build_labels_stage(model: ModelIdentity, spec: LabelsSpec) -> Stage:
    """Say how `labels` is made. It is never reused: a read always looks at the source."""

    def run(context: StepContext, **values: Any) -> Snapshot:
        from mlops_dagster.ingest.labels import take_labels

        return take_labels(context, spec, **values)

    source = spec.source
    return Stage(
        noun="labels",
        room="ingest",
        description=(
            f"What the {source.kind} source says of {model.target}: late, partial, out of order "
            "and corrected labels, to hold answers against."
        ),
        run=run,
        kinds=frozenset({"deltalake", "sql" if isinstance(source, SqlSource) else "python"}),
        assets={"source_rows": source.key} if isinstance(source, AssetSource) else {},
        settings=spec.model_dump(mode="json"),
    )
