"""One home's stores, compute and clock, opened on first use. Dagster-free: what a room's `run` works with."""

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from mlops_dagster.clock import Clock, WallClock, clock_at, clock_from_environment, wall_now
from mlops_dagster.declaration import ModelIdentity

if TYPE_CHECKING:
    from mlops_dagster.compute.local import Compute
    from mlops_dagster.stores.operations import Operations
    from mlops_dagster.stores.records import RecordStore
    from mlops_dagster.stores.registry import Registry
    from mlops_dagster.stores.tables import TableStore
    from mlops_dagster.stores.tracking import RunOwner, Tracking


@dataclass(frozen=True)
class Workbench:
    """The stores behind four addresses; an empty address means the embedded one in `home`.

    `lake` is a folder or an fsspec address, `tracking_uri` what MLflow takes, `operations_url` a
    SQLAlchemy address. Opening creates nothing that is not ours: only embedded stores are initialised.
    """

    home: Path
    lake: str = field(default="", repr=False)
    tracking_uri: str = field(default="", repr=False)
    operations_url: str = field(default="", repr=False)
    ui_url: str = "http://127.0.0.1:3000"
    mlflow_ui_url: str = ""
    clock: Clock = field(default_factory=WallClock)

    @cached_property
    def tables(self) -> "TableStore":
        """Versioned tables of rows."""
        from mlops_dagster.stores.delta import DeltaTables

        return DeltaTables(self.lake_root + "/tables")

    @cached_property
    def records(self) -> "RecordStore":
        """Immutable records."""
        from mlops_dagster.stores.lake_records import LakeRecords

        return LakeRecords(self.lake_root + "/records")

    @cached_property
    def operations(self) -> "Operations":
        """Leases, accepted records, findings, decisions, the ledger."""
        from mlops_dagster.stores.sql_operations import SqlOperations

        if self.operations_url:
            return SqlOperations(self.operations_url)
        self.home.mkdir(parents=True, exist_ok=True)
        return SqlOperations.embedded(self.home / "operations.db")

    @cached_property
    def tracking(self) -> "Tracking":
        """Experiment tracking."""
        from mlops_dagster.stores.mlflow_tracking import MlflowTracking

        return MlflowTracking(
            self.mlflow_address,
            artifacts=self.artifacts_root,
            operations=self.operations,
            ui=self.mlflow_ui_url,
        )

    @cached_property
    def registry(self) -> "Registry":
        """The model registry."""
        from mlops_dagster.stores.mlflow_registry import MlflowRegistry

        return MlflowRegistry(
            self.mlflow_address,
            artifacts=self.artifacts_root,
            cache=self.home / "cache",
            operations=self.operations,
        )

    @cached_property
    def compute(self) -> "Compute":
        """Where work runs."""
        from mlops_dagster.compute.local import LocalCompute

        return LocalCompute()

    @property
    def lake_root(self) -> str:
        """The folder or address that holds tables and records."""
        return self.lake.rstrip("/") or str(self.home.resolve() / "lake")

    def serving_log(self, model: str, segment: str) -> Path:
        """The folder of a model's prediction log on this machine."""
        return self.home.resolve() / "serving" / model / segment

    @property
    def mlflow_address(self) -> str:
        """What MLflow is opened with."""
        return self.tracking_uri or f"sqlite:///{self.home.resolve() / 'mlflow.db'}"

    @property
    def artifacts_root(self) -> str:
        """Where the embedded MLflow keeps files; empty when a server decides."""
        return "" if self.tracking_uri else str(self.home.resolve() / "artifacts")


ENVIRONMENT = {
    "home": ("MLOPS_HOME", ".mlops"),
    "lake": ("MLOPS_LAKE", ""),
    "tracking_uri": ("MLFLOW_TRACKING_URI", ""),
    "operations_url": ("MLOPS_OPERATIONS_URL", ""),
    "ui_url": ("MLOPS_UI_URL", "http://127.0.0.1:3000"),
    "mlflow_ui_url": ("MLOPS_MLFLOW_UI_URL", ""),
}
"""Which variable fills an empty address, and what it is without one."""


def workbench_from_environment(**given: str) -> Workbench:
    """Open the workbench; the environment fills what is not given (`MLOPS_HOME`, `MLOPS_LAKE`, ...)."""
    addresses = {
        name: given.get(name) or os.environ.get(variable, default)
        for name, (variable, default) in ENVIRONMENT.items()
    }
    clock = given.get("clock") or clock_from_environment().address
    return open_workbench(tuple(sorted(addresses.items())), clock)


@cache
def open_workbench(addresses: tuple[tuple[str, str], ...], clock: str) -> Workbench:
    """Open the workbench of these addresses, once in a process."""
    named = dict(addresses)
    return Workbench(home=Path(named.pop("home")), clock=clock_at(clock), **named)


class Stamp(TypedDict):
    """The fields that every record of one step shares."""

    model: str
    segment: str
    run_id: str
    made_at: datetime
    recorded_at: datetime


@dataclass(frozen=True)
class StepContext:
    """What one step of one run may know: the model, the workbench, and which run it is in."""

    model: ModelIdentity
    bench: Workbench
    run_id: str
    root_run_id: str
    noun: str
    log: logging.Logger
    partition: str = ""
    config: Mapping[str, str] = field(default_factory=dict)
    moment: datetime | None = None

    @property
    def at(self) -> datetime:
        """The clock's time, or the one moment that everything in this step is of."""
        return self.moment or self.bench.clock.now()

    def at_one_moment(self) -> "StepContext":
        """Stop the clock for this step: what it finds is of one time, however long it takes."""
        return replace(self, moment=self.at)

    @property
    def owner(self) -> "RunOwner":
        """Whom the tracked run of this step belongs to."""
        from mlops_dagster.stores.tracking import RunOwner

        return RunOwner(
            root_run_id=self.root_run_id,
            run_id=self.run_id,
            model=self.model.name,
            segment=self.model.segment,
            partition=self.partition,
            dagster_url=f"{self.bench.ui_url}/runs/{self.run_id}",
        )

    def stamp(self) -> Stamp:
        """What every record of this step shares: `Snapshot(**context.stamp(), ...)`."""
        return {
            "model": self.model.name,
            "segment": self.model.segment,
            "run_id": self.run_id,
            "made_at": self.at,
            "recorded_at": wall_now(),
        }

    def table(self, noun: str) -> str:
        """The name of one of the model's tables."""
        return f"{self.model.address}/{noun}"

    def report(self, name: str) -> Path:
        """Tell where a page about the model stands in this home."""
        return self.bench.home.resolve() / "reports" / self.model.name / self.model.segment / name

    def keep_report(self, name: str, text: str) -> Path:
        """Write a page about the model in place of the last one of this name; give its path."""
        page = self.report(name)
        page.parent.mkdir(parents=True, exist_ok=True)
        fresh = page.with_suffix(".new")
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(page)
        return page

    @contextmanager
    def lock(self, noun: str) -> Iterator[None]:
        """Be the only writer of one of the model's nouns."""
        name = f"lock:{self.model.address}/{noun}"
        with self.bench.operations.hold(name, holder=f"{self.run_id}/{self.noun}"):
            yield
