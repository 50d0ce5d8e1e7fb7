"""Answers of a window beside the labels that are known now."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from mlops_dagster.metrics.quality import Scored
from mlops_dagster.monitor.champion import Champion
from mlops_dagster.monitor.evidence import PREDICTIONS, ROLES, Join, rows_of, within
from mlops_dagster.monitor.label_places import Places
from mlops_dagster.monitor.labels import Floats, latest_labels, read_labels
from mlops_dagster.monitor.windows import Window
from mlops_dagster.records import Snapshot
from mlops_dagster.scoring.inputs import as_given
from mlops_dagster.scoring.rows import decode_inputs
from mlops_dagster.stores.content import digest_of_table
from mlops_dagster.workbench import StepContext

_ANSWER = ("prediction_id", "prediction", "probability", "probabilities", "model_version")
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """One window's answers by one version. `truth` is nan where no label is known.

    `identity` holds what makes these the same answers and labels again; `answer` and `inputs` give
    all answers, their truth not filled in, and what they were given, when it is needed.
    """

    window: Window
    version: str
    source: str
    truth: Floats
    identity: pa.Table
    answer: Callable[[], Scored]
    inputs: Callable[[], pd.DataFrame]

    @property
    def rows(self) -> int:
        """How many answers."""
        return len(self.truth)

    @property
    def labelled(self) -> npt.NDArray[np.int64]:
        """The places of the answers whose label is known."""
        return np.flatnonzero(~np.isnan(self.truth))

    @property
    def digest(self) -> str:
        """What decides every number made of it."""
        return digest_of_table(self.identity.append_column("truth", pa.array(self.truth)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Reads the answers of windows for one champion."""

    context: StepContext
    champion: Champion
    validated: Snapshot
    places: Places
    join: Join

    def stored(self, windows: Sequence[Window]) -> Iterator[Answered]:
        """Give what was answered in each window, by each version that answered."""
        rows, moments = self._predictions(windows)
        if rows is None or not rows.num_rows:
            return
        found = latest_labels(rows, self.places.all)
        versions = rows["model_version"].to_numpy(zero_copy_only=False)
        for window in windows:
            inside = (moments >= _micros(window.start)) & (moments < _micros(window.end))
            for version in sorted(set(versions[inside])):
                chosen = np.flatnonzero(inside & (versions == version))
                yield self._stored(
                    window,
                    str(version),
                    rows.take(pa.array(chosen)),
                    found[chosen],
                )

    def now(self, window: Window) -> Answered:
        """Give the labelled rows of a window, to be answered by the champion now."""
        rows = rows_of(self.context, self.validated, window)
        model = self.context.model
        if model.key:
            truth = latest_labels(rows, self.places.all)
        else:
            target, _ = read_labels(
                rows[model.target], task=model.task, labels=self.champion.model.labels
            )
            truth = target.to_numpy(zero_copy_only=False)

        @cache
        def given() -> pd.DataFrame:
            return as_given(self.join(self.context, rows, self.validated))

        names = [*model.key, str(model.event_time)]
        return Answered(
            window=window,
            version=self.champion.version,
            source="the champion's answers to rows that came with their labels",
            truth=np.asarray(truth, dtype=np.float64),
            identity=rows.select(list(dict.fromkeys(names))),
            answer=cache(lambda: self._scored(self.champion.model.predict(given()))),
            inputs=given,
        )

    def _stored(
        self,
        window: Window,
        version: str,
        rows: pa.Table,
        truth: Floats,
    ) -> Answered:
        return Answered(
            window=window,
            version=version,
            source=f"{rows.num_rows:,} stored predictions",
            truth=truth,
            identity=rows.select(["prediction_id", "prediction"]),
            answer=cache(lambda: self._of_table(rows)),
            inputs=cache(lambda: self._inputs(window, rows["prediction_id"].to_pylist())),
        )

    def _predictions(
        self, windows: Sequence[Window]
    ) -> tuple[pa.Table | None, npt.NDArray[np.int64]]:
        """Read the answers of all windows, with the instant of each in microseconds."""
        none = np.empty(0, np.int64)
        name, model = self.context.table(PREDICTIONS), self.context.model
        if not windows or self.context.bench.tables.latest(name) is None:
            return None, none
        rows = self.context.bench.tables.dataset(name)
        there = set(rows.schema.names)
        if not {"prediction_id", "scored_at", "role", *_ANSWER[:2], "model_version"} <= there:
            return None, none
        wanted = dict.fromkeys([*_ANSWER, *model.key, "scored_at", model.event_time])
        found = rows.to_table(
            columns=[one for one in wanted if one in there],
            filter=pc.field("role").isin([*ROLES, "canary"]) & pc.field("prediction").is_valid(),
        )
        times = _instants(found["scored_at"])
        if model.event_time in there:
            times = pc.coalesce(_instants(found[model.event_time]), times)
        moments = times.to_numpy()
        inside = (moments >= _micros(windows[0].start)) & (moments < _micros(windows[-1].end))
        return found.filter(pa.array(inside)), moments[inside]

    def _inputs(self, window: Window, ids: Sequence[str]) -> pd.DataFrame:
        rows = self.context.bench.tables.dataset(self.context.table(PREDICTIONS))
        wanted = pc.field("prediction_id").isin(pa.array(ids, pa.string()))
        time = self.context.model.event_time
        if time in rows.schema.names:
            near = within(rows.schema, str(time), window) | pc.field(str(time)).is_null()
            wanted = near & wanted
        found = rows.to_table(columns=["prediction_id", "inputs"], filter=wanted)
        texts = dict(
            zip(found["prediction_id"].to_pylist(), found["inputs"].to_pylist(), strict=True)
        )
        return decode_inputs([texts[one] for one in ids], self.champion.model)

    def _of_table(self, rows: pa.Table) -> Scored:
        frame = rows.select([one for one in _ANSWER[1:4] if one in rows.column_names]).to_pandas()
        labels = self.champion.model.labels
        if len(labels) > 2:
            each = [json.loads(text) for text in frame["probabilities"]]
            for label in labels:
                frame[f"probability_{label}"] = [one.get(str(label), np.nan) for one in each]
        return self._scored(frame)

    def _scored(self, answer: pd.DataFrame) -> Scored:
        """Bring answers into the labels that the model knows; the truth is added by who has it."""
        labels = tuple(self.champion.model.labels)
        prediction = answer["prediction"].to_numpy()
        probability: npt.NDArray[Any] | None = None
        if labels:
            said, _ = read_labels(
                pa.chunked_array([pa.array(prediction)]),
                task=self.context.model.task,
                labels=labels,
            )
            prediction = named(said.to_numpy(zero_copy_only=False), labels)
            columns = (
                ["probability"]
                if len(labels) == 2
                else [f"probability_{label}" for label in labels]
            )
            probability = answer[columns].to_numpy(np.float64)
        return Scored(y_true=prediction, y_pred=prediction, probability=probability, labels=labels)


def named(places: Floats, labels: Sequence[Any]) -> npt.NDArray[np.generic]:
    """Turn places among labels into the labels; a label that the model does not know is None."""
    unknown = bool((places < 0).any())
    each = np.asarray([*labels, None], dtype=object) if unknown else np.asarray(labels)
    return np.asarray(each[places.astype(np.int64)])


def _instants(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.cast(pc.cast(column, pa.timestamp("us"), safe=False), pa.int64())


def _micros(moment: datetime | None) -> int:
    if moment is None:
        return 0
    return (moment - datetime.fromtimestamp(0, moment.tzinfo)) // _MICROSECOND
