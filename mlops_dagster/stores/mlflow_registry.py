"""The model registry in MLflow: versions and aliases, never stages."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from mlops_dagster.errors import StoreError
from mlops_dagster.stores.mlflow_tracking import local_path, mlflow_client
from mlops_dagster.stores.moved import where_now
from mlops_dagster.stores.operations import Operations
from mlops_dagster.stores.registry import ModelVersion

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient


class MlflowRegistry:
    """Keeps versions in MLflow's registry; what serves is the alias `champion`."""

    def __init__(
        self, address: str, *, artifacts: str, cache: Path, operations: Operations
    ) -> None:
        self._address = address
        self._artifacts = artifacts
        self._cache = cache
        self._operations = operations

    def create_version(
        self,
        name: str,
        *,
        source: str,
        mlflow_run_id: str,
        model_id: str,
        tags: Mapping[str, str],
        about: str = "",
    ) -> ModelVersion:
        """Register a source; a source that is registered already gives its version again.

        `about` becomes the description of a model that was not there.
        """
        with (
            self._operations.hold(f"lock:registry:{name}", holder=f"register {uuid4().hex}"),
            self._client() as client,
        ):
            known = {one.source: one for one in self.versions(name)}
            if source in known:
                self.set_tags(name, known[source].version, tags)
                return self.version(name, known[source].version)
            if not client.search_registered_models(f"name = '{name}'"):
                client.create_registered_model(name, description=about or None)
            made = client.create_model_version(
                name,
                source=source,
                run_id=mlflow_run_id,
                model_id=model_id,
                tags={key: value for key, value in tags.items() if value},
            )
        return read_version(made)

    def version(self, name: str, version: str) -> ModelVersion:
        """Read one version."""
        with self._client() as client:
            return read_version(client.get_model_version(name, version))

    def versions(
        self, name: str, *, tags: Mapping[str, str] | None = None
    ) -> Sequence[ModelVersion]:
        """List versions, newest first; none when the name is not registered."""
        wanted = "".join(f" and tags.`{key}` = '{value}'" for key, value in (tags or {}).items())
        with self._client() as client:
            found = client.search_model_versions(f"name = '{name}'{wanted}", max_results=10_000)
        listed = [read_version(one) for one in found]
        return sorted(listed, key=lambda one: int(one.version), reverse=True)

    def by_alias(self, name: str, alias: str) -> ModelVersion | None:
        """Read the version behind an alias, if there is one."""
        with self._client() as client:
            aliases = aliases_of(client, name)
        # MLflow gives no version's aliases in a search, and raises for one that is not set.
        return self.version(name, str(aliases[alias])) if alias in aliases else None

    def set_alias(self, name: str, alias: str, version: str) -> None:
        """Point an alias at a version."""
        with self._client() as client:
            client.set_registered_model_alias(name, alias, version)

    def delete_alias(self, name: str, alias: str) -> None:
        """Remove an alias; one that is not there is no error."""
        with self._client() as client:
            if alias in aliases_of(client, name):
                client.delete_registered_model_alias(name, alias)

    def set_tags(self, name: str, version: str, tags: Mapping[str, str]) -> None:
        """Write tags on a version; an empty one is removed."""
        written = {key: value for key, value in tags.items() if value}
        with self._client() as client:
            for key, value in written.items():
                client.set_model_version_tag(name, version, key, value)
            if len(written) < len(tags):
                known = client.get_model_version(name, version).tags
                for key in known.keys() & (tags.keys() - written.keys()):
                    client.delete_model_version_tag(name, version, key)

    def set_description(self, name: str, version: str, text: str) -> None:
        """Write a version's description, in markdown."""
        with self._client() as client:
            client.update_model_version(name, version, text)

    def download(self, version: ModelVersion) -> Path:
        """Fetch a version's files into a local folder (a local source is not copied, and may be of a moved home)."""
        local = self._local(version)
        if local is None:
            return self._fetched(version)
        if not local.is_dir():
            message = (
                f"{version.name} version {version.version}: its files are not at {local} any more."
            )
            raise StoreError(message)
        return local

    def has_files(self, version: ModelVersion) -> bool:
        """Tell whether a version's files are there; of remote ones that is taken for granted."""
        local = self._local(version)
        return local is None or local.is_dir()

    def _local(self, version: ModelVersion) -> Path | None:
        local = local_path(version.source)
        return None if local is None else where_now(local, artifacts=self._artifacts)

    def _fetched(self, version: ModelVersion) -> Path:
        from mlflow.artifacts import download_artifacts

        place = self._cache / version.name / version.version
        place.mkdir(parents=True, exist_ok=True)
        with self._client():
            uri = f"models:/{version.name}/{version.version}"
            if not version.source.startswith("models:/"):
                uri = version.source
            return Path(
                download_artifacts(
                    artifact_uri=uri,
                    dst_path=str(place),
                    tracking_uri=self._address,
                    registry_uri=self._address,
                )
            )

    def fetch(self, version: ModelVersion, path: str) -> Path:
        """Fetch one file that is kept with the version's run."""
        place = self._cache / version.name / f"{version.version}-run"
        place.mkdir(parents=True, exist_ok=True)
        with self._client() as client:
            return Path(client.download_artifacts(version.mlflow_run_id, path, str(place)))

    @contextmanager
    def _client(self) -> Iterator["MlflowClient"]:
        with mlflow_client("registry", self._address, self._operations) as client:
            yield client


def aliases_of(client: "MlflowClient", name: str) -> Mapping[str, Any]:
    """List a registered model's aliases; none when it is not registered."""
    found = client.search_registered_models(f"name = '{name}'")
    return found[0].aliases if found else {}


def read_version(made: Any) -> ModelVersion:
    """Read what MLflow keeps of a version."""
    return ModelVersion(
        name=str(made.name),
        version=str(made.version),
        source=str(made.source),
        mlflow_run_id=str(made.run_id or ""),
        tags=dict(made.tags or {}),
    )
