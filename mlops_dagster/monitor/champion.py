"""The model that serves, opened for looking: its feature code, its answers, its profile."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from mlops_dagster.profiles.reference import ReferenceProfile, read_reference
from mlops_dagster.scoring.loader import ScoringModel
from mlops_dagster.stores.registry import CHAMPION, ModelVersion, Registry
from mlops_dagster.workbench import StepContext

Load: TypeAlias = Callable[[Registry, ModelVersion], ScoringModel]


@dataclass(frozen=True, slots=True, kw_only=True)
class Champion:
    """What serves, and what it was fitted on."""

    version: str
    model: ScoringModel
    reference: ReferenceProfile


def open_champion(context: StepContext, version: ModelVersion, *, load: Load) -> Champion:
    """Open what serves.

    Raises: StoreError when the registry does not answer or the version carries no profile.
    """
    model = load(context.bench.registry, version)
    return Champion(version=version.version, model=model, reference=read_reference(model.folder))


def champion_version(context: StepContext) -> ModelVersion | None:
    """Ask the registry what serves."""
    return context.bench.registry.by_alias(context.model.registered_name, CHAMPION)


def serving_since(context: StepContext, version: str) -> datetime | None:
    """Read in the ledger when a version became champion; None when the ledger does not know."""
    model = context.model
    move = context.bench.operations.champion_at(model.name, model.segment, instant=context.at)
    return move.at if move and move.to_version == version else None
