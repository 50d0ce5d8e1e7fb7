"""Compares what was served with what the lake gives: each version by the feature code that it carries."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from mlops_dagster.errors import DataNotFitError, StoreError, first_line
from mlops_dagster.monitor.served import Lake, key_told, keys_of, match, newest_answers, redacted_by
from mlops_dagster.monitor.skew import Compared, Plain, Sides, Skew, compare, join_versions
from mlops_dagster.scoring.inputs import as_given
from mlops_dagster.scoring.loader import ScoringModel
from mlops_dagster.scoring.questions import schema_of
from mlops_dagster.scoring.rows import typed_like
from mlops_dagster.stores.registry import ModelVersion


def check_skew(
    lake: Lake, *, newest: int, since: datetime | None = None, examples: int = 5
) -> Skew | None:
    """Compare the features of the newest live answers with those of the lake's rows of the same keys.

    Each answer's features are made by its own version. None when there is no live answer.
    Raises: StoreError when a store does not answer.
    """
    answers = newest_answers(lake, newest=newest, since=since)
    if answers is None or not answers.num_rows:
        return None
    registered = lake.bench.registry.versions(lake.model.registered_name)
    redact = redacted_by(registered)
    versions = {one.version: one for one in registered}
    inputs = [json.loads(text) for text in answers["inputs"].to_pylist()]
    keys = keys_of(lake.model, answers, inputs)
    why, matched = match(lake, keys, redact)
    compared: list[Compared] = []
    for version, chosen in _by_version(answers, matched.places):
        places = [matched.places[at] for at in chosen]
        try:
            remaking = Remaking(model=open_version(lake, version, versions), redact=redact)
            sides = remaking.sides(
                [inputs[place] for place in places],
                matched.rows.take(pa.array(chosen)),
                ids=answers["prediction_id"].take(pa.array(places)).to_pylist(),
                keys=[key_told(keys[place]) for place in places],
            )
        except (StoreError, DataNotFitError) as error:
            why[str(error)] += len(places)
        else:
            compared.append(compare(sides))
    span = pc.min_max(answers["scored_at"]).as_py()
    return Skew(
        answers=answers.num_rows,
        compared=sum(len(one.anywhere) for one in compared),
        differing=sum(int(one.anywhere.sum()) for one in compared),
        features=join_versions([one.features for one in compared], examples=examples),
        not_compared=dict(why.most_common()),
        first=span["min"],
        last=span["max"],
    )


def _by_version(answers: pa.Table, places: Sequence[int]) -> Iterator[tuple[str, list[int]]]:
    """Give each version with the positions, among `places`, of the answers that it gave."""
    by = answers["model_version"].to_pylist()
    for version in sorted({by[place] for place in places}):
        yield version, [at for at, place in enumerate(places) if by[place] == version]


def open_version(lake: Lake, version: str, known: Mapping[str, ModelVersion]) -> ScoringModel:
    """Load the version that answered. Raises: StoreError when it is gone or its files are not."""
    if version not in known:
        message = f"version {version} is gone from the registry"
        raise StoreError(message)
    try:
        return lake.load(lake.bench.registry, known[version])
    except StoreError as error:
        message = f"version {version} cannot be loaded: {first_line(error)}"
        raise StoreError(message) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Remaking:
    """Makes features with the code that one version carries."""

    model: ScoringModel
    redact: frozenset[str]

    def sides(
        self,
        inputs: Sequence[Mapping[str, Any]],
        rows: pa.Table,
        *,
        ids: Sequence[str],
        keys: Sequence[Mapping[str, Plain]],
    ) -> Sides:
        """Make the features of inputs as they were served, and of the lake's rows.

        Raises: DataNotFitError when the lake lacks an input, or the feature code cannot read a side.
        """
        lost = [one for one in self.model.inputs if one not in rows.column_names]
        if lost:
            message = (
                f"version {self.model.version} is given {', '.join(lost)}, which the lake lacks"
            )
            raise DataNotFitError(message)
        given = schema_of(self.model)
        names = list(given.kinds)
        served = given.frame([[row.get(name) for name in names] for row in inputs])
        served = self._as_precise(served, rows.schema)
        lake = typed_like(as_given(rows), self.model)
        masks = {name: served[name].isna().to_numpy() for name in self.redact & set(names)}
        hidden = lake.assign(**{name: lake[name].mask(mask) for name, mask in masks.items()})
        return Sides(
            version=self.model.version,
            ids=ids,
            keys=keys,
            served=self._features(served, "as they were kept"),
            recomputed=self._features(lake, "as the lake holds them"),
            hidden=self._features(hidden, "without what is redacted") if masks else None,
        )

    def _features(self, rows: pd.DataFrame, which: str) -> pd.DataFrame:
        try:
            return self.model.features_typed(rows).reset_index(drop=True)
        except Exception as error:
            # The feature code is the user's, and may raise anything.
            message = (
                f"version {self.model.version}: its feature code cannot read the inputs {which}: "
                f"{type(error).__name__}: {first_line(error)}"
            )
            raise DataNotFitError(message) from error

    @staticmethod
    def _as_precise(served: pd.DataFrame, lake: pa.Schema) -> pd.DataFrame:
        """Bring numbers to single precision where the lake keeps no more."""
        coarse = [
            str(name)
            for name in served
            if pa.types.is_float32(lake.field(name).type)
            or pa.types.is_float16(lake.field(name).type)
        ]
        return served.assign(
            **{name: served[name].astype(np.float32).astype(np.float64) for name in coarse}
        )
