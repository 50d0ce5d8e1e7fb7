"""Two small models that serve, and an endpoint around them."""

import socket
import threading

import pytest
import uvicorn

from mlops_dagster.serve.endpoint.app import build_app
from mlops_dagster.serve.endpoint.live_model import LiveModel
from mlops_dagster.serve.endpoint.worker import Worker
from mlops_dagster.serve.spec import EndpointSpec
from mlops_dagster.stores.registry import CHALLENGER, CHAMPION
from tests.scoring.models import MODEL, artifact_of, register, save, user_package


@pytest.fixture(scope="session")
def folders(points, tmp_path_factory):
    """Two models, the second of which answers otherwise."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    place = tmp_path_factory.mktemp("models")
    made = []
    for number, strength in enumerate((1.0, 0.01)):
        function = user_package(place / f"s{number}", name=f"servepkg{number}")
        artifact = artifact_of(points, function, strength=strength)
        made_of = function(points[["seen", "size"]])[artifact.columns]
        artifact.pipeline = HistGradientBoostingClassifier(
            max_iter=5, learning_rate=strength, random_state=0
        ).fit(made_of, points["late"])
        made.append(save(artifact, place / f"m{number}", points, package=f"servepkg{number}"))
    return made


@pytest.fixture
def serving(bench, folders, tmp_path):
    """Two versions, the first of which serves; gives a worker for given settings."""
    register(bench, folders[0], run="r1", alias=CHAMPION)
    register(bench, folders[1], run="r2", alias=CHALLENGER)

    def made(**settings) -> Worker:
        chosen = EndpointSpec(**settings)
        return Worker(
            live=LiveModel(
                registry=bench.registry,
                name=MODEL.registered_name,
                shadow=chosen.shadow,
                share=chosen.canary,
            ),
            settings=chosen,
            folder=tmp_path / "log",
            model=MODEL.name,
            key=["id"],
            names=["id", "seen"],
            beat=bench.operations.beat,
            leave=bench.operations.leave,
        )

    return made


@pytest.fixture
def address(serving):
    """The endpoint on a port of loopback, answering."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(build_app(serving()), log_config=None))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        patience = threading.Event()
        while not server.started:
            assert thread.is_alive()
            patience.wait(0.01)
        yield "http://{}:{}".format(*listening.getsockname())
        server.should_exit = True
        thread.join()
