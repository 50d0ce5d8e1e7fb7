"""A deployment in a target that MLflow knows by a plugin (`mlflow.deployments`)."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from threading import Event
from typing import Any, TypeVar

from mlops_dagster.clock import wall_now
from mlops_dagster.errors import StoreError, redact, redact_in
from mlops_dagster.stores.mlflow_home import be_quiet, store_error
from mlops_dagster.stores.registry import ModelVersion

Got = TypeVar("Got")
_URIS = ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")
_LOOK_S = 0.2


class MlflowDeployment:
    """One deployment, by name, in the target at `uri`. `registry` is where `models:/` is looked up."""

    def __init__(
        self,
        uri: str,
        *,
        name: str,
        registry: str,
        model: str,
        config: Mapping[str, Any] | None = None,
        secrets: Mapping[str, str] | None = None,
    ) -> None:
        self._uri = uri
        self._name = name
        self._registry = registry
        self._prefix = f"models:/{model}/"
        self._config = {**(config or {}), **(secrets or {})}
        self._secrets = tuple((secrets or {}).values())

    def follow(self, version: ModelVersion, *, within: timedelta) -> str:
        """Create or update the deployment, and return when it is there with the version."""
        wanted = f"{self._prefix}{version.version}"
        known = self._described()
        if known is None or known.get("model_uri") != wanted:
            self._asked(lambda client: self._put(client, wanted, there=known is not None))
        return self._confirmed(version.version, wanted, within=within)

    def withdraw(self, version: ModelVersion) -> str:
        """Delete the deployment, if it has this version."""
        known = self._described()
        if known is None:
            return f"{self} is not there."
        if known.get("model_uri") != f"{self._prefix}{version.version}":
            told = known.get("model_uri") or "a model that its plugin does not tell"
            return f"{self} was left alone: it has {told}."
        self._asked(lambda client: client.delete_deployment(self._name))
        return f"{self} was deleted."

    def live(self) -> str | None:
        """Read the version out of the model's address, where the plugin tells it."""
        known = self._described() or {}
        address = str(known.get("model_uri", ""))
        return address.removeprefix(self._prefix) if address.startswith(self._prefix) else None

    def _put(self, client: Any, address: str, *, there: bool) -> None:
        put = client.update_deployment if there else client.create_deployment
        put(self._name, model_uri=address, flavor="python_function", config=self._config)

    def _confirmed(self, version: str, wanted: str, *, within: timedelta) -> str:
        deadline, patience = wall_now() + within, Event()
        while True:
            known = self._described()
            if known is not None:
                told = known.get("model_uri")
                if told == wanted:
                    return f"{self} answers from version {version}."
                if told is None:
                    return f"{self} took version {version}; its plugin does not tell what it answers from."
            if wall_now() >= deadline:
                found = f"it has {known.get('model_uri')}" if known else "it is not there"
                message = (
                    f"{self}: needed is {wanted}, but after {within.total_seconds():g} s {found}."
                )
                raise StoreError(message)
            patience.wait(_LOOK_S)

    def _described(self) -> Mapping[str, Any] | None:
        """Read the deployment, if it is there. Each plugin raises another error when it is not."""

        def read(client: Any) -> Mapping[str, Any] | None:
            if self._name not in [one["name"] for one in client.list_deployments()]:
                return None
            described: Mapping[str, Any] = client.get_deployment(self._name)
            return described

        return self._asked(read)

    def _asked(self, question: Callable[[Any], Got]) -> Got:
        be_quiet()
        from mlflow.deployments import get_deploy_client

        with self._mlflow_at_home():
            try:
                return question(get_deploy_client(self._uri))
            except Exception as error:
                # A plugin is somebody else's code, and each has errors of its own.
                told = store_error(f"{self}, target", self._uri, error)
                raise StoreError(self._without_secrets(str(told))) from error

    def _without_secrets(self, text: str) -> str:
        for value in self._secrets:
            text = text.replace(value, "...")
        return redact_in(text, self._uri)

    @contextmanager
    def _mlflow_at_home(self) -> Iterator[None]:
        """Let `models:/` mean our registry: plugins know no other way than MLflow's own variables."""
        before = {name: os.environ.get(name) for name in _URIS}
        os.environ.update(dict.fromkeys(_URIS, self._registry))
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value

    def __str__(self) -> str:
        return f"Deployment {self._name!r} at {redact(self._uri)}"
