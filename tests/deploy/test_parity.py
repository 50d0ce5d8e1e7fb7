"""A version serves only when it answers alike over HTTP, in batch and by MLflow."""

import math
import re
from functools import partial

import pandas as pd
import pyarrow as pa
import pytest

from mlops_dagster.deploy.moves import champion_of
from mlops_dagster.deploy.run import run
from mlops_dagster.deploy.spec import DeploySpec
from mlops_dagster.errors import StoreError
from mlops_dagster.records import HOLDOUT_TAG, Outcome
from mlops_dagster.scoring.parity import first_difference
from mlops_dagster.serve.parity import BATCH, ENDPOINT, MLFLOW, answer_every_way
from mlops_dagster.serve.spec import EndpointSpec
from tests.deploy.test_moves import registered, step
from tests.scoring.models import MODEL, artifact_of, register, save, user_package

BESIDE = """
def doubled(rows):
    size = rows["size"] - rows["size"].mean()
    return rows.assign(size=size, size2=size, hour=rows["seen"].dt.hour.astype("float64"))
"""
CROWDED = """
def doubled(rows):
    if len(rows) > 250:
        raise ValueError("too many at once")
    return rows.assign(size2=rows["size"], hour=rows["seen"].dt.hour.astype("float64"))
"""
SHY = """
def doubled(rows):
    if len(rows) == 1 and rows["size"].isna().any():
        raise ValueError("a lone unknown")
    return rows.assign(size2=rows["size"], hour=rows["seen"].dt.hour.astype("float64"))
"""


def asked(settings=None):
    """Every way of asking, as the lifecycle hands it to the deployment."""
    return lambda context, version, rows: answer_every_way(
        context.bench, settings or EndpointSpec(), version, rows
    )


@pytest.fixture
def registered_with(bench, points, tmp_path):
    """Register a model with given feature code, and a holdout of 1,200 rows with nulls."""
    rows = pd.concat([points] * 6, ignore_index=True)
    rows["size"] = rows["size"].where(rows.index % 7 > 0)
    table = bench.tables.overwrite(f"{MODEL.address}/holdout", pa.Table.from_pandas(rows))

    def made(*, name: str, pipeline=None, **source) -> str:
        from sklearn.ensemble import HistGradientBoostingClassifier

        function = user_package(tmp_path / name, name=name, **source)
        artifact = artifact_of(points.head(100), function)
        known = artifact.features(points.head(100))
        artifact.pipeline = HistGradientBoostingClassifier(max_iter=5).fit(
            known, points["late"].head(100)
        )
        folder = save(artifact, tmp_path / f"m{name}", points, package=name)
        tag = {HOLDOUT_TAG: f"{table.ref.name}@{table.ref.version}"}
        return register(bench, folder, run=name, tags=tag)

    return made


def parity_of(record):
    [check] = [one for one in record.checks if one.name == "parity"]
    return check


def test_OR6_a_thousand_rows_are_answered_alike_by_endpoint_batch_and_mlflow(
    bench, registered_with
):
    version = registered_with(name="alikepkg")
    record = run(step(bench), DeploySpec(), registered(version, against=None), ways=asked())
    check = parity_of(record)
    assert check.outcome is Outcome.PASSED
    assert check.because == (
        "1,000 rows of its holdout answered alike by the endpoint, batch scoring, mlflow.pyfunc."
    )
    assert champion_of(bench, MODEL) == version


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (BESIDE, r"Row \d+, column 'p\w+': the endpoint says [\d.]+, batch scoring [\d.]+\.$"),
        (CROWDED, "batch scoring cannot read them: ValueError: too many at once"),
        (SHY, "the endpoint answers rows 0 to 0 with 422: .* ValueError: a lone unknown"),
    ],
)
def test_OR6_a_model_that_answers_otherwise_beside_other_rows_is_blocked(
    bench, registered_with, source, words
):
    first = registered_with(name="firstpkg")
    run(step(bench), DeploySpec(), registered(first, against=None), ways=asked())
    name = f"other{len(source)}pkg"
    other = registered_with(name=name, source=source)
    record = run(step(bench, "run-2"), DeploySpec(), registered(other, against=first), ways=asked())
    check = parity_of(record)
    assert (record.outcome, check.outcome) == (Outcome.REFUSED, Outcome.REFUSED)
    assert re.search(words, check.because), check.because
    assert champion_of(bench, MODEL) == first


def test_a_version_without_a_holdout_is_asked_about_its_example(bench, points, tmp_path):
    function = user_package(tmp_path / "s", name="examplepkg")
    folder = save(artifact_of(points, function), tmp_path / "m", points, package="examplepkg")
    register(bench, folder, run="r1")
    few = asked(EndpointSpec(request_rows=1, token_from="UNSET_HERE"))
    record = run(step(bench), DeploySpec(), registered("1", against=None), ways=few)
    assert parity_of(record).because.startswith("5 rows of its example answered alike")


def test_a_version_that_the_endpoint_would_not_load_is_not_put_live(bench, registered_with):
    version = registered_with(name="needypkg")
    folder = bench.registry.download(bench.registry.version(MODEL.registered_name, version))
    from mlops_dagster.scoring.digest import artifact_sha256

    with (folder / "requirements.txt").open("a") as lines:
        lines.write("\nno-such-thing==1\n")
    tag = {"mlops_dagster.artifact_sha256": artifact_sha256(folder)}
    bench.registry.set_tags(MODEL.registered_name, version, tag)
    with pytest.raises(StoreError, match="needs no-such-thing==1, and there is none"):
        run(step(bench), DeploySpec(), registered(version, against=None), ways=asked())
    assert champion_of(bench, MODEL) is None


SAID = {"prediction": [0.0, 1.0, 1.0], "probability": [0.2, 0.75, None]}
different = partial(first_difference, tolerance=1e-12)


def test_the_first_row_and_column_that_differ_are_named_with_both_values():
    late = SAID | {"probability": [0.2, 0.75 + 1e-6, math.nan]}
    early = SAID | {"prediction": [1.0, 1.0, 1.0]}
    assert different({ENDPOINT: SAID, BATCH: late, MLFLOW: early}) == (
        "Row 0, column 'prediction': the endpoint says 0.0, mlflow.pyfunc 1.0."
    )
    assert different({ENDPOINT: SAID, BATCH: late}) == (
        "Row 1, column 'probability': the endpoint says 0.75, batch scoring 0.750001."
    )


def test_null_and_nan_are_one_and_columns_and_counts_must_agree():
    assert different({ENDPOINT: SAID, BATCH: SAID | {"probability": [0.2, 0.75, math.nan]}}) == ""
    fewer = {name: values[:2] for name, values in SAID.items()}
    assert "different numbers of rows: [2, 3]" in different({ENDPOINT: SAID, BATCH: fewer})
    assert "gives the columns" in different({ENDPOINT: SAID, BATCH: {"prediction": [0.0] * 3}})
