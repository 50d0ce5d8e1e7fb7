# ruff: noqa: S101, D102 - these are tests; their names say what they claim
"""The contract of `Target` as tests."""

from dataclasses import replace
from datetime import timedelta

import pytest

from mlops_dagster.errors import StoreError
from mlops_dagster.stores.registry import CHAMPION, ModelVersion, Registry
from mlops_dagster.stores.targets import Target

WITHIN = timedelta(seconds=60)


class TargetContract:
    """Give the fixtures `registry`, `versions` (two of one model in it), `target` and `broken`.

    `target` may answer from the first version or from none. `broken` cannot follow: nobody is there,
    or what is there refuses.
    """

    @pytest.fixture
    def registry(self) -> Registry:
        """Open a registry."""
        raise NotImplementedError

    @pytest.fixture
    def versions(self) -> list[ModelVersion]:
        """Register two versions of one model."""
        raise NotImplementedError

    @pytest.fixture
    def target(self) -> Target:
        """Open a target for that model."""
        raise NotImplementedError

    @pytest.fixture
    def broken(self) -> Target:
        """Open a target that cannot follow."""
        raise NotImplementedError

    def follow(self, registry: Registry, target: Target, version: ModelVersion) -> str:
        """Move the alias, and let the target follow."""
        registry.set_alias(version.name, CHAMPION, version.version)
        return target.follow(version, within=WITHIN)

    def test_it_answers_from_the_version_that_the_alias_names(
        self, registry: Registry, versions: list[ModelVersion], target: Target
    ) -> None:
        first, second = versions
        assert self.follow(registry, target, first)
        assert target.live() == first.version
        assert self.follow(registry, target, second)
        assert target.live() == second.version

    def test_following_twice_is_once(
        self, registry: Registry, versions: list[ModelVersion], target: Target
    ) -> None:
        said = self.follow(registry, target, versions[1])
        assert self.follow(registry, target, versions[1]) == said
        assert target.live() == versions[1].version

    def test_the_version_before_is_put_back(
        self, registry: Registry, versions: list[ModelVersion], target: Target
    ) -> None:
        first, second = versions
        for version in (first, second, first):
            self.follow(registry, target, version)
        assert target.live() == first.version

    def test_a_version_that_is_not_there_is_refused_and_the_one_before_answers_on(
        self, registry: Registry, versions: list[ModelVersion], target: Target
    ) -> None:
        self.follow(registry, target, versions[0])
        missing = replace(versions[0], version="99")
        with pytest.raises(StoreError, match="99"):
            target.follow(missing, within=timedelta(0))
        assert target.live() == versions[0].version

    def test_a_target_that_cannot_follow_says_so_in_words(
        self, registry: Registry, versions: list[ModelVersion], broken: Target
    ) -> None:
        registry.set_alias(versions[1].name, CHAMPION, versions[1].version)
        with pytest.raises(StoreError, match=r"\w+ \w+ \w+"):
            broken.follow(versions[1], within=timedelta(0))
