"""Where a model answers: the contract."""

from datetime import timedelta
from typing import Protocol

from mlops_dagster.stores.registry import ModelVersion


class Target(Protocol):
    """Answers from one version. The registry's alias says from which; a target follows it.

    Raises: StoreError in words when it cannot be reached, refuses the version, or does not follow.
    """

    def follow(self, version: ModelVersion, *, within: timedelta) -> str:
        """Answer from a version, and say so in a sentence once it does; twice is once.

        An older version is followed like a newer one: that is how one is put back.
        """

    def withdraw(self, version: ModelVersion) -> str:
        """Answer no more from a version that nothing served before; say in a sentence what was done.

        What answers from something else, or does not tell from what, is left alone.
        """

    def live(self) -> str | None:
        """Tell which version answers; None when none does, or when that cannot be told."""
