"""The tables `features` and `holdout`, read: inputs, feature columns, target."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import pyarrow as pa

from mlops_dagster.records import TableRef
from mlops_dagster.scoring.inputs import as_given
from mlops_dagster.stores.tables import TableStore

PREFIX = "f__"


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureRows:
    """Rows with what the model is given beside what the feature code made of it."""

    table: pa.Table

    @classmethod
    def read(cls, tables: TableStore, ref: TableRef) -> "FeatureRows":
        """Load the exact rows."""
        return cls(table=tables.read(ref.name, version=ref.version))

    def features(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Give the feature columns under their own names; all, or those that a model learned from."""
        names = [name for name in self.table.column_names if name.startswith(PREFIX)]
        if columns is not None:
            names = [PREFIX + name for name in columns]
        frame: pd.DataFrame = self.table.select(names).to_pandas()
        return frame.rename(columns=lambda name: name.removeprefix(PREFIX))

    def inputs(self, names: list[str]) -> pd.DataFrame:
        """Give inputs as a model is given them."""
        return as_given(self.table.select(names))

    def column(self, name: str) -> "pd.Series[Any]":
        """Give one column."""
        column: pd.Series[Any] = self.table[name].to_pandas()
        return column

    def others(self) -> pa.Table:
        """Give everything but the feature columns: key, times, target, inputs."""
        names = [name for name in self.table.column_names if not name.startswith(PREFIX)]
        return self.table.select(names)
