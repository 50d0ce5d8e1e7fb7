"""Whether a version answers alike however it is asked: what it must show before it serves."""

from collections.abc import Callable, Mapping

import pyarrow as pa

from mlops_dagster.deploy.rules import PARITY
from mlops_dagster.deploy.spec import ParitySpec
from mlops_dagster.errors import DataNotFitError
from mlops_dagster.records import HOLDOUT_TAG, Check, Outcome, Shown
from mlops_dagster.scoring.accelerated import accelerator_of
from mlops_dagster.scoring.example import read_example
from mlops_dagster.scoring.holdout_rows import spread_rows
from mlops_dagster.scoring.loader import load_verified
from mlops_dagster.scoring.parity import Answers, first_difference
from mlops_dagster.stores.registry import ModelVersion
from mlops_dagster.workbench import StepContext

Ways = Callable[[StepContext, ModelVersion, pa.Table], Mapping[str, Answers]]
"""Asks a version about rows in every way it will be asked; the answers by the name of the way."""


def prove_parity(
    context: StepContext, spec: ParitySpec, version: ModelVersion, *, ways: Ways
) -> Check:
    """Compare what a version answers in every way, on rows that it was not fitted on.

    A version that its endpoint answers by ONNX may differ as far as was declared for that.
    Raises: StoreError when the version cannot be used at all.
    """
    rows, what = rows_for(context, version, most=spec.rows)
    try:
        answers = ways(context, version, rows)
    except DataNotFitError as error:
        return Check(name=PARITY, outcome=Outcome.REFUSED, because=f"Of {what}: {error}")
    fast = accelerator_of(version)
    tolerance = max(spec.tolerance, fast.tolerance if fast else 0.0)
    difference = first_difference(answers, tolerance=tolerance)
    if difference:
        because = f"Version {version.version} does not answer alike. Of {what}: {difference}"
        return Check(name=PARITY, outcome=Outcome.REFUSED, because=because)
    because = f"{what} answered alike by {', '.join(answers)}."
    counted = {"rows": Shown(kind="integer", value=rows.num_rows)}
    return Check(name=PARITY, outcome=Outcome.PASSED, because=because, shown=counted)


def rows_for(context: StepContext, version: ModelVersion, *, most: int) -> tuple[pa.Table, str]:
    """Take rows from all over the version's holdout; its example, when it was made without one."""
    model = load_verified(context.bench.registry, version)
    held_out = version.tags.get(HOLDOUT_TAG, "")
    if not held_out:
        rows = pa.Table.from_pylist(list(read_example(model.folder).inputs))
        return rows, f"{rows.num_rows} rows of its example"
    name, _, number = held_out.rpartition("@")
    source = context.bench.tables.dataset(name, version=int(number))
    rows = spread_rows(source, columns=model.inputs, most=most)
    return rows, f"{rows.num_rows:,} rows of its holdout"
