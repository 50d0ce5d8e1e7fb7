"""Open MLflow quietly, and make the embedded database once, whoever comes first."""

import os
from functools import cache
from typing import TYPE_CHECKING

from mlops_dagster.errors import StoreError
from mlops_dagster.stores.operations import Operations

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

_QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_PRINT_MODEL_URLS_ON_CREATION": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
}


def be_quiet() -> None:
    """Turn off MLflow's telemetry, progress bars and prints, unless the user has set them."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)


@cache
def open_client(address: str, operations: Operations) -> "MlflowClient":
    """Open a client. An embedded SQLite file is made under a lease; another store never is."""
    be_quiet()
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=address, registry_uri=address)
    if address.startswith("sqlite:///"):
        # Several processes that open a fresh database at once crash each other's migrations.
        with operations.hold("setup:mlflow", holder=f"process {os.getpid()}"):
            client.search_experiments(max_results=1)
    return client


def unreachable(store: str, address: str, error: BaseException) -> StoreError:
    """Say which store did not answer, without a password."""
    return StoreError.unreachable(store, without_secret(address), error)


def without_secret(address: str) -> str:
    """Cut user and password out of an address."""
    scheme, separator, rest = address.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}" if separator else address
