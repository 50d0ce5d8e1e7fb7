"""Open MLflow quietly, and make the embedded database once, whoever comes first."""

import logging
import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from mlops_dagster.errors import StoreError, first_line, redact, redact_in
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
_DATABASES = {"postgresql", "mysql", "mssql"}
_NO_ANSWER = {"INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED"}


def be_quiet() -> None:
    """Turn off MLflow's telemetry, progress bars and prints, unless the user has set them."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    # An environment that uv made has no pip, and needs none.
    logging.getLogger("mlflow.utils.environment").setLevel(logging.ERROR)


@cache
def open_client(address: str, operations: Operations) -> "MlflowClient":
    """Open a client. An embedded SQLite file is made first, under a lease; another store never is."""
    be_quiet()
    from mlflow.tracking import MlflowClient

    scheme, _, place = address.partition("sqlite:///")
    if not scheme and place and not Path(place).exists():
        # Several processes that open a fresh database at once crash each other's migrations.
        with operations.hold("setup:mlflow", holder=f"opening {uuid4().hex}"):
            if not Path(place).exists():
                make_database(Path(place))
    elif address.partition(":")[0].partition("+")[0] in _DATABASES:
        refuse_an_empty_database(address)
    return MlflowClient(tracking_uri=address, registry_uri=address)


def refuse_an_empty_database(address: str) -> None:
    """See that a database is MLflow's: its client would fill an empty one, several at once crash.

    Raises: StoreError with the command that makes the tables.
    """
    import sqlalchemy as sa

    engine = sa.create_engine(address, poolclass=sa.NullPool)
    if not sa.inspect(engine).has_table("experiments"):
        shown = redact(address)
        message = (
            f"tracking: {shown} has no MLflow tables, and a database that is not ours is never "
            f"created by a run. Make them once: mlflow db upgrade {shown} (with its password)"
        )
        raise StoreError(message)


def make_database(path: Path) -> None:
    """Make MLflow's database, whole or not at all: migrations that were killed cannot be continued."""
    from mlflow.tracking import MlflowClient

    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.{uuid4().hex}")
    client = MlflowClient(tracking_uri=f"sqlite:///{fresh}", registry_uri=f"sqlite:///{fresh}")
    client.search_experiments(max_results=1)
    client.search_registered_models(max_results=1)
    fresh.replace(path)


def store_error(store: str, address: str, error: Exception) -> StoreError:
    """Say what MLflow said, or that it did not answer; never with a password."""
    code = getattr(error, "error_code", "")
    if code and code not in _NO_ANSWER:
        said = redact_in(first_line(error), address)
        return StoreError(f"{store} at {redact(address)}: {said}")
    return StoreError.unreachable(store, address, error)
