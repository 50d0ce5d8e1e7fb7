"""Start the endpoint: one process, or several behind one port."""

import json
import logging
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from starlette.applications import Starlette

from mlops_dagster.declaration import registered_name
from mlops_dagster.errors import SpecError
from mlops_dagster.records import SERVING_TAG
from mlops_dagster.serve.endpoint.live_model import LiveModel
from mlops_dagster.serve.endpoint.prediction_log import seal_what_was_left
from mlops_dagster.serve.endpoint.worker import Worker
from mlops_dagster.serve.spec import EndpointSpec
from mlops_dagster.stores.registry import CHAMPION
from mlops_dagster.workbench import Workbench, workbench_from_environment

VARIABLE = "MLOPS_ENDPOINT"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """Where one endpoint listens, and what is asked of it beyond the declaration."""

    model: str
    segment: str = "all"
    host: str = "127.0.0.1"
    port: int = 8_080
    workers: int = 1
    durability: str = ""
    apart: str = ""
    """A folder for the log of a rehearsal, which no table is made from; no worker is announced."""


def serve(listening: Listening, *, ready: Callable[[], object]) -> None:
    """Answer until told to stop; `ready` is called once nothing stands in the way.

    Raises: StoreError when nothing can be served, SpecError for a port that is taken.
    """
    import uvicorn

    refuse_taken_port(listening)

    # Before the model's libraries load: threads of one batch would only wait for one another.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("mlops_dagster.serve").setLevel(logging.INFO)
    options: dict[str, Any] = {
        "host": listening.host,
        "port": listening.port,
        "log_level": "warning",
        "access_log": False,
        "timeout_graceful_shutdown": 30,
        "backlog": 2048,
    }
    if listening.workers == 1:
        app = build(listening, loaded=True)
        ready()
        uvicorn.Server(uvicorn.Config(app, **options)).run()
        return
    ready()
    os.environ[VARIABLE] = json.dumps(asdict(listening))
    uvicorn.run(
        f"{__name__}:app_from_environment", factory=True, workers=listening.workers, **options
    )


def refuse_taken_port(listening: Listening) -> None:
    """See that the address is free. Raises: SpecError when it is not."""
    family = socket.AF_INET6 if ":" in listening.host else socket.AF_INET
    try:
        socket.create_server((listening.host, listening.port), family=family).close()
    except OSError as error:
        message = (
            f"serve: nothing can listen at {listening.host}:{listening.port}: {error.strerror}. "
            "Choose another: --port, or 0 for any that is free; --host for another address."
        )
        raise SpecError(message) from error


def app_from_environment() -> Starlette:
    """Build the application of one of several workers."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("mlops_dagster.serve").setLevel(logging.INFO)
    return build(Listening(**json.loads(os.environ[VARIABLE])))


def build(listening: Listening, *, loaded: bool = False) -> Starlette:
    """Build the application: settings from the version that serves, stores from the environment.

    Raises: StoreError when `loaded` is wanted and nothing can be served.
    """
    from mlops_dagster.serve.endpoint.app import build_app

    bench = workbench_from_environment()
    worker = worker_of(bench, listening)
    if loaded:
        # Raised while uvicorn starts, it would be a traceback and not a sentence.
        worker.live.start()
    return build_app(worker, token=token_of(worker.settings))


def worker_of(bench: Workbench, listening: Listening) -> Worker:
    """Set a worker up for a model."""
    name = registered_name(listening.model, segment=listening.segment)
    serving = serving_of(bench, name)
    settings = EndpointSpec.model_validate(serving.get("endpoint", {}))
    if listening.durability:
        settings = EndpointSpec.model_validate(
            settings.model_dump() | {"durability": listening.durability}
        )
    kept = bench.serving_log(listening.model, listening.segment)
    folder = Path(listening.apart) if listening.apart else kept
    if folder.exists():
        seal_what_was_left(folder)
    key, event_time = serving.get("key", []), serving.get("event_time")
    return Worker(
        live=LiveModel(
            registry=bench.registry,
            name=name,
            shadow=settings.shadow,
            share=settings.canary,
        ),
        settings=settings,
        folder=folder,
        address=f"http://{listening.host}:{listening.port}",
        model=listening.model,
        segment=listening.segment,
        key=key,
        names=[*key, *([event_time] if event_time else [])],
        beat=None if listening.apart else bench.operations.beat,
        leave=None if listening.apart else bench.operations.leave,
    )


def serving_of(bench: Workbench, name: str) -> Mapping[str, Any]:
    """Read how a model is to be served, as its serving version says."""
    version = bench.registry.by_alias(name, CHAMPION)
    text = version.tags.get(SERVING_TAG, "") if version else ""
    serving: Mapping[str, Any] = json.loads(text) if text else {}
    return serving


def token_of(settings: EndpointSpec) -> str:
    """Read the bearer token. Raises: SpecError when its variable is named and empty."""
    if not settings.token_from:
        return ""
    token = os.environ.get(settings.token_from, "")
    if not token:
        message = (
            f"serve.endpoint.token_from names the environment variable {settings.token_from}, which is "
            "empty. Set it, or every caller would be let in."
        )
        raise SpecError(message)
    return token
