# ruff: noqa: S101, D102 - these are tests; their names say what they claim
"""The contract of `Registry` as tests."""

from pathlib import Path

import pytest

from mlops_dagster.errors import StoreError
from mlops_dagster.stores.registry import CHALLENGER, CHAMPION, ModelVersion, Registry


class RegistryContract:
    """Give the fixtures `registry`, an empty store, and `sources`: where three models' files lie.

    A source is (address, run id, model id), as tracking gives them.
    """

    @pytest.fixture
    def registry(self) -> Registry:
        """Open an empty store."""
        raise NotImplementedError

    @pytest.fixture
    def sources(self) -> list[tuple[str, str, str]]:
        """Log three models."""
        raise NotImplementedError

    def put(
        self, registry: Registry, source: tuple[str, str, str], *, name: str = "churn", **tags: str
    ) -> ModelVersion:
        """Register a source."""
        address, run_id, model_id = source
        return registry.create_version(
            name, source=address, mlflow_run_id=run_id, model_id=model_id, tags=tags
        )

    def test_nothing_is_registered_at_first(self, registry: Registry) -> None:
        assert list(registry.versions("churn")) == []
        assert registry.by_alias("churn", CHAMPION) is None
        registry.delete_alias("churn", CHAMPION)

    def test_versions_are_numbered_and_listed_newest_first(
        self, registry: Registry, sources: list[tuple[str, str, str]]
    ) -> None:
        made = [self.put(registry, source) for source in sources]
        assert [one.version for one in made] == ["1", "2", "3"]
        assert [one.version for one in registry.versions("churn")] == ["3", "2", "1"]
        assert made[0].source == sources[0][0]
        assert made[0].mlflow_run_id == sources[0][1]
        assert self.put(registry, sources[0], name="parcels").version == "1"

    def test_what_was_just_registered_has_its_files(
        self, registry: Registry, sources: list[tuple[str, str, str]]
    ) -> None:
        assert registry.has_files(self.put(registry, sources[0]))

    def test_the_same_source_again_is_the_same_version_with_the_new_tags(
        self, registry: Registry, sources: list[tuple[str, str, str]]
    ) -> None:
        first = self.put(registry, sources[0], outcome="passed", kept="yes")
        again = self.put(registry, sources[0], outcome="refused")
        assert again.version == first.version
        assert dict(again.tags) == {"outcome": "refused", "kept": "yes"}
        assert len(registry.versions("churn")) == 1

    def test_versions_are_found_by_their_tags(
        self, registry: Registry, sources: list[tuple[str, str, str]]
    ) -> None:
        for at, source in enumerate(sources):
            self.put(registry, source, **{"a.b": str(at % 2), "c": "x"})
        found = registry.versions("churn", tags={"a.b": "0", "c": "x"})
        assert [one.version for one in found] == ["3", "1"]

    def test_consumers_follow_an_alias(
        self, registry: Registry, sources: list[tuple[str, str, str]]
    ) -> None:
        for source in sources:
            self.put(registry, source)
        for version in ("1", "3", "2"):
            registry.set_alias("churn", CHAMPION, version)
            found = registry.by_alias("churn", CHAMPION)
            assert found is not None
            assert found.version == version
        assert registry.by_alias("churn", CHALLENGER) is None
        registry.delete_alias("churn", CHAMPION)
        registry.delete_alias("churn", CHAMPION)
        assert registry.by_alias("churn", CHAMPION) is None

    def test_tags_are_added_to_a_version(
        self, registry: Registry, sources: list[tuple[str, str, str]]
    ) -> None:
        made = self.put(registry, sources[0], a="1")
        registry.set_tags("churn", made.version, {"b": "2"})
        registry.set_description("churn", made.version, "# A card")
        assert dict(registry.version("churn", made.version).tags) == {"a": "1", "b": "2"}

    def test_an_empty_tag_is_removed(
        self, registry: Registry, sources: list[tuple[str, str, str]]
    ) -> None:
        made = self.put(registry, sources[0], a="1", b="2", never="")
        registry.set_tags("churn", made.version, {"a": "", "c": "", "d": "4"})
        assert dict(registry.version("churn", made.version).tags) == {"b": "2", "d": "4"}

    def test_a_versions_files_come_back(
        self, registry: Registry, sources: list[tuple[str, str, str]]
    ) -> None:
        folder: Path = registry.download(self.put(registry, sources[1]))
        assert (folder / "weights").read_text() == "1"

    def test_a_version_that_is_not_there_is_a_store_error(
        self, registry: Registry, sources: list[tuple[str, str, str]]
    ) -> None:
        with pytest.raises(StoreError, match="churn"):
            registry.version("churn", "1")
        self.put(registry, sources[0])
        with pytest.raises(StoreError, match="churn"):
            registry.set_alias("churn", CHAMPION, "9")
