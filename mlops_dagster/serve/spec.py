"""What is declared about scoring."""

from datetime import timedelta

from pydantic import Field

from mlops_dagster.declaration import Duration, Spec


class ServeSpec(Spec):
    """How rows are scored: those whose target is still unknown, in windows of their event time."""

    window: Duration = Field(
        default=timedelta(days=1), description="Length of one window of predictions."
    )
    chunk_rows: int = Field(
        default=131_072, ge=1_000, description="Rows scored at a time; memory stays flat in rows."
    )
