"""A deployments plugin: each deployment is MLflow's own scoring server on a port of loopback."""

import http.client
import json
import socket
import threading
from dataclasses import dataclass

import mlflow.pyfunc
import uvicorn
from mlflow.deployments import BaseDeploymentClient
from mlflow.exceptions import MlflowException
from mlflow.pyfunc.scoring_server import init

RUNNING: dict[str, "Server"] = {}


@dataclass
class Server:
    """The scoring server of one model."""

    model_uri: str

    def __post_init__(self) -> None:
        config = uvicorn.Config(init(mlflow.pyfunc.load_model(self.model_uri)), log_config=None)
        self.server = uvicorn.Server(config)
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.socket.listen()
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.socket]})
        self.thread.start()

    def ask(self, inputs) -> list[dict]:
        connection = http.client.HTTPConnection(*self.socket.getsockname(), timeout=60)
        body = json.dumps({"dataframe_split": inputs.to_dict(orient="split", index=False)})
        connection.request("POST", "/invocations", body, {"Content-Type": "application/json"})
        told = json.loads(connection.getresponse().read())
        connection.close()
        return told["predictions"]

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join()
        self.socket.close()


class LoopbackClient(BaseDeploymentClient):
    """`config: {refuses: models:/name/2}` makes it refuse a model, as a target may; with `never_well`
    a deployment is made, and then found to be unwell.
    """

    def create_deployment(self, name, model_uri, flavor=None, config=None, endpoint=None):
        if name in RUNNING:
            raise MlflowException(f"There is a deployment {name} already.")
        RUNNING[name] = self._started(model_uri, config)
        if (config or {}).get("never_well"):
            raise MlflowException(f"{name} did not become well")
        return {"name": name, "flavor": flavor}

    def update_deployment(self, name, model_uri=None, flavor=None, config=None, endpoint=None):
        fresh, old = self._started(model_uri, config), RUNNING[name]
        RUNNING[name] = fresh
        old.stop()
        return {"flavor": flavor}

    def delete_deployment(self, name, config=None, endpoint=None):
        if name in RUNNING:
            RUNNING.pop(name).stop()

    def list_deployments(self, endpoint=None):
        return [self.get_deployment(name) for name in RUNNING]

    def get_deployment(self, name, endpoint=None):
        if name not in RUNNING:
            raise MlflowException(f"There is no deployment {name}.")
        return {"name": name, "model_uri": RUNNING[name].model_uri}

    def predict(self, deployment_name=None, inputs=None, endpoint=None):
        return RUNNING[deployment_name].ask(inputs)

    @staticmethod
    def _started(model_uri, config) -> Server:
        if (config or {}).get("refuses") == model_uri:
            raise MlflowException(f"{model_uri} is refused; the key was {config['key']}")
        return Server(model_uri)


def run_local(target, name, model_uri, flavor=None, config=None):
    Server(model_uri)


def target_help():
    return "loopback: MLflow's own scoring server on a free port of this machine."
