"""The model registry: the contract."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

CHAMPION = "champion"
CHALLENGER = "challenger"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelVersion:
    """One version of a registered model."""

    name: str
    version: str
    source: str
    mlflow_run_id: str
    tags: Mapping[str, str]


class Registry(Protocol):
    """Keeps versions of models and the aliases that say which one serves. Aliases, never stages.

    Raises: StoreError when it does not answer or a version is not there.
    """

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

    def version(self, name: str, version: str) -> ModelVersion:
        """Read one version."""

    def versions(
        self, name: str, *, tags: Mapping[str, str] | None = None
    ) -> Sequence[ModelVersion]:
        """List versions, newest first; none when the name is not registered."""

    def by_alias(self, name: str, alias: str) -> ModelVersion | None:
        """Read the version behind an alias, if there is one."""

    def set_alias(self, name: str, alias: str, version: str) -> None:
        """Point an alias at a version."""

    def delete_alias(self, name: str, alias: str) -> None:
        """Remove an alias; one that is not there is no error."""

    def set_tags(self, name: str, version: str, tags: Mapping[str, str]) -> None:
        """Write tags on a version; an empty one is removed."""

    def set_description(self, name: str, version: str, text: str) -> None:
        """Write a version's description, in markdown."""

    def download(self, version: ModelVersion) -> Path:
        """Fetch a version's files into a local folder (a local source is not copied)."""

    def has_files(self, version: ModelVersion) -> bool:
        """Tell whether a version's files are there; of remote ones that is taken for granted."""

    def fetch(self, version: ModelVersion, path: str) -> Path:
        """Fetch one file that is kept with the version's run."""
