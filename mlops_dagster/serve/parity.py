"""Ask one version about the same rows through the endpoint, the batch step and MLflow."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pyarrow as pa

from mlops_dagster.errors import DataNotFitError, first_line
from mlops_dagster.scoring.inputs import as_given
from mlops_dagster.scoring.loader import load_verified
from mlops_dagster.scoring.parity import Answers, answers_of, mlflow_answers
from mlops_dagster.serve.answers import ask
from mlops_dagster.serve.endpoint.rehearsal import rehearse
from mlops_dagster.serve.spec import EndpointSpec
from mlops_dagster.stores.registry import ModelVersion
from mlops_dagster.workbench import Workbench

ENDPOINT, BATCH, MLFLOW = "the endpoint", "batch scoring", "mlflow.pyfunc"


def answer_every_way(
    bench: Workbench, settings: EndpointSpec, version: ModelVersion, rows: pa.Table
) -> Mapping[str, Answers]:
    """Give the answers to rows by each way of asking; the endpoint's come over HTTP.

    Raises: StoreError when a way cannot use the version, DataNotFitError when it refuses rows.
    """
    model = load_verified(bench.registry, version)
    with reading(BATCH):
        texts, answer = ask(model, rows)
    with rehearse(bench.registry, version, settings) as endpoint:
        online = endpoint.ask(texts.to_pylist())
    with reading(MLFLOW):
        plain = mlflow_answers(model.folder, as_given(rows)[model.inputs])
    return {ENDPOINT: online, BATCH: answers_of(answer), MLFLOW: plain}


@contextmanager
def reading(way: str) -> Iterator[None]:
    """Say which way could not read the rows: the feature code is the user's, and may raise anything."""
    try:
        yield
    except Exception as error:
        message = f"{way} cannot read them: {type(error).__name__}: {first_line(error)}"
        raise DataNotFitError(message) from error
