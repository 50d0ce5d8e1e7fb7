import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from mlops_dagster.clock import ReplayClock
from mlops_dagster.declaration import ModelIdentity, Task
from mlops_dagster.monitor.run import run
from mlops_dagster.monitor.spec import DriftSpec, FreshnessSpec, MonitorSpec
from mlops_dagster.profiles.reference import as_table, reference_of, write_reference
from mlops_dagster.records import Monitoring, Snapshot
from mlops_dagster.scoring.artifact import ModelArtifact
from mlops_dagster.scoring.loader import ScoringModel
from mlops_dagster.stores.registry import CHAMPION, ModelVersion
from mlops_dagster.stores.tables import BATCH
from mlops_dagster.testing.ledger import a_move
from mlops_dagster.workbench import StepContext, Workbench

START = datetime(2013, 1, 7, tzinfo=UTC)
WEEK = timedelta(days=7)
MODEL = ModelIdentity(name="shop", task=Task.BINARY, target="late", key=("id",), event_time="at")
SPEC = MonitorSpec(
    freshness=FreshnessSpec(max_age="36h", max_model_age="60d"), drift=DriftSpec(window=WEEK)
)


class Likely:
    """An estimator by formula: the more delay, the more likely."""

    def predict_proba(self, features: pd.DataFrame) -> np.ndarray:
        positive = 1 / (1 + np.exp(-features["delay"].fillna(0).to_numpy()))
        return np.column_stack([1 - positive, positive])


@dataclass
class MemoryRegistry:
    """Versions by alias, in folders."""

    folders: dict[str, Path] = field(default_factory=dict)
    aliases: dict[str, ModelVersion] = field(default_factory=dict)

    def by_alias(self, name: str, alias: str) -> ModelVersion | None:
        return self.aliases.get(f"{name}@{alias}")

    def download(self, version: ModelVersion) -> Path:
        return self.folders[version.version]


def week_of_rows(
    number: int, *, rows: int = 600, shift: float = 0.0, seed: int = 0
) -> pd.DataFrame:
    """Rows of the week `number` after START."""
    chance = np.random.default_rng(1_000 * number + seed)
    return pd.DataFrame(
        {
            "id": np.arange(rows) + 100_000 * number,
            "at": START + WEEK * number + pd.to_timedelta(chance.uniform(0, 6.99, rows), unit="D"),
            "delay": chance.normal(size=rows) + shift,
            "origin": chance.choice(["LGA", "JFK", "EWR"], size=rows),
            "late": pd.array([None] * rows, dtype="Int64"),
        }
    )


@dataclass
class Shop:
    """A model's home, with helpers to live through weeks."""

    folder: Path
    context: StepContext

    def at(self, moment: datetime) -> None:
        self.context.bench.clock.set(moment)

    def arrive(self, *weeks: pd.DataFrame) -> Snapshot:
        tables, name = self.context.bench.tables, self.context.table("validated_data")
        latest = tables.latest(name)
        batch = int(latest.state["batch"]) if latest else 0
        for rows in weeks:
            batch += 1
            table = pa.Table.from_pandas(rows, preserve_index=False)
            table = table.append_column(BATCH, pa.array([batch] * len(rows), pa.int64()))
            latest = tables.append(name, table, state={"batch": str(batch)})
        return Snapshot(
            **self.context.stamp(),
            data_version=latest.ref.digest,
            table=latest.ref,
            new_rows=0,
            through=batch,
        )

    def crown(
        self,
        version: str,
        *weeks: pd.DataFrame,
        through: int | None = None,
        mlflow_run_id: str = "",
    ) -> None:
        """Make a champion that was fitted on some weeks."""
        folder = self.folder / version
        folder.mkdir()
        rows = pd.concat(weeks)
        model = self.model(version)
        features = model.features(rows)
        times = pa.array(rows["at"]) if "at" in rows else None
        reference = reference_of(
            as_table(features),
            as_table(model.artifact.score(features)),
            event_times=times,
            window=WEEK if times is not None else None,
            through=through,
        )
        write_reference(folder, reference)
        registry = self.context.bench.registry
        registry.folders[version] = folder
        registry.aliases[f"shop@{CHAMPION}"] = ModelVersion(
            name="shop", version=version, source=str(folder), mlflow_run_id=mlflow_run_id, tags={}
        )
        self.context.bench.operations.open_move(
            a_move(
                model="shop",
                registered_name="shop",
                to_version=version,
                state="done",
                at=self.context.at,
                recorded_at=self.context.at,
            )
        )

    def model(self, version: str) -> ScoringModel:
        artifact = ModelArtifact(
            functions=[],
            inputs=["delay", "origin"],
            columns=["delay", "origin"],
            pipeline=Likely(),
            task=Task.BINARY,
            labels=(0, 1),
            texts=["origin"],
            numbers=["delay"],
        )
        return ScoringModel(
            version=version, folder=self.folder / version, loaded=None, artifact=artifact
        )

    def look(self, validated: Snapshot, spec: MonitorSpec = SPEC, **options: object) -> Monitoring:
        return run(
            self.context,
            spec,
            validated,
            load=lambda _registry, version: self.model(version.version),
            **options,
        )

    def findings(self, signal: str) -> list:
        found = self.context.bench.operations.findings("shop", "all")
        return [one for _, one in found if one.signal == signal]


@pytest.fixture
def open_shop(tmp_path: Path) -> Callable[..., Shop]:
    """Open a shop in this test's own home."""
    clock = ReplayClock(tmp_path / "now")
    clock.set(START)
    bench = Workbench(home=tmp_path / "home", clock=clock)
    bench.__dict__["registry"] = MemoryRegistry()

    def opened(*, config: dict[str, str] | None = None, **changed: object) -> Shop:
        context = StepContext(
            model=MODEL.model_copy(update=changed),
            bench=bench,
            run_id="run1",
            root_run_id="run1",
            noun="monitoring",
            log=logging.getLogger("test"),
            config=config or {},
        )
        return Shop(folder=tmp_path, context=context)

    return opened


@pytest.fixture
def shop(open_shop: Callable[..., Shop]) -> Shop:
    """A shop whose first champion was fitted on weeks 0 to 3."""
    return open_shop()
