"""Turn rows and a model's answer into rows of the table `predictions`."""

import json
from collections import Counter
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from mlops_dagster.declaration import ModelIdentity
from mlops_dagster.scoring.inputs import as_given
from mlops_dagster.scoring.loader import ScoringModel
from mlops_dagster.scoring.rows import input_texts, typed_like
from mlops_dagster.stores.hashes import blake_each, hex_digests, in_hex

NO_TIME = "no-time"
_ESCAPED = np.array([chr(one) in '"\\' or not " " <= chr(one) <= "~" for one in range(256)])
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Rows that are to be answered: `named` says of each its id, window, inputs and their digest.

    `inputs` are the same rows as the model takes them.
    """

    named: pa.Table
    inputs: pd.DataFrame

    def only(self, wanted: pa.Array | pa.ChunkedArray) -> "Asked":
        """Keep the rows that are wanted."""
        chosen = wanted.to_numpy(zero_copy_only=False)
        if chosen.all():
            return self
        kept = self.inputs[chosen].reset_index(drop=True)
        return Asked(named=self.named.filter(wanted), inputs=kept)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scorer:
    """Scores chunk after chunk. `seen` counts equal rows without a key, so that each has an id."""

    model: ModelIdentity
    champion: ScoringModel
    window: timedelta
    at: datetime
    seen: Counter[str] = field(default_factory=Counter)

    def asked(self, rows: pa.Table) -> Asked:
        """Name rows, and make the model's inputs of them."""
        given = as_given(rows)
        inputs = typed_like(given, self.champion)
        texts = input_texts(inputs)
        windows = self.windows(rows, given)
        named = pc.binary_join_element_wise(
            self.model.address, windows, self.keys(rows, texts), "/"
        )
        kept = [*self.model.key, *([self.model.event_time] if self.model.event_time else [])]
        table = {
            "prediction_id": in_hex(blake_each(named)),
            **{name: rows[name] for name in dict.fromkeys(kept) if name in rows.column_names},
            "window": windows,
            "inputs": texts,
            "input_digest": hex_digests(texts),
        }
        return Asked(named=pa.table(table), inputs=inputs)

    def answered(self, asked: Asked, *, alone: AbstractContextManager[Any]) -> pa.Table:
        """Score rows. Each has an id, its inputs as JSON, the answer, the version and the time.

        What need not be ready for several threads is done inside `alone`.
        """
        model, count = self.champion, asked.named.num_rows
        with alone:
            features = model.features_typed(asked.inputs)
        with nullcontext() if model.is_reentrant else alone:
            answer = model.score(features)
        at = pa.scalar(self.at, pa.timestamp("us", "UTC"))
        columns = {
            "prediction": pa.Array.from_pandas(answer["prediction"]),
            "probability": _column(answer, "probability"),
            "probabilities": _probabilities(answer),
            "model_version": pa.repeat(pa.scalar(model.version, pa.string()), count),
            "role": pa.repeat(pa.scalar("batch", pa.string()), count),
            "scored_at": pa.repeat(at, count),
        }
        table = asked.named
        for name, column in columns.items():
            table = table.append_column(name, column)
        return table

    def windows(self, rows: pa.Table, given: pd.DataFrame) -> pa.Array:
        """Name each row's window by its start, or by the batch it came with when rows have no time."""
        name = self.model.event_time
        if name is None:
            return pa.array([f"batch-{number}" for number in rows["_batch"].to_pylist()])
        return self.windows_of(given[name])

    def windows_of(self, times: pd.Series) -> pa.Array:
        """Name the window that each time falls into, of whatever year."""
        at, length = pd.DatetimeIndex(times).as_unit("us"), self.window // _MICROSECOND
        missing = at.isna()
        starts = np.where(missing, 0, at.asi8) // length * length
        codes, each = pd.factorize(starts)
        names = pa.array([*map(_named, each.tolist()), NO_TIME], pa.string())
        return names.take(pa.array(np.where(missing, len(each), codes)))

    def keys(self, rows: pa.Table, texts: pa.ChunkedArray) -> pa.Array:
        """Name each row by its key, else by its inputs and how often they were seen before."""
        if self.model.key:
            parts = [_json_texts(rows[name].combine_chunks()) for name in self.model.key]
            inside = pc.binary_join_element_wise(*parts, ", ")
            return pc.binary_join_element_wise("[", inside, "]", "")
        keys = []
        for text in texts.to_pylist():
            keys.append(f"{text}#{self.seen[text]}")
            self.seen[text] += 1
        return pa.array(keys, pa.string())

    def window_named(self, text: str) -> str:
        """Find the window that a time in ISO 8601 is in; anything else is a window's name already."""
        try:
            time = datetime.fromisoformat(text)
        except ValueError:
            return text
        time = time.replace(tzinfo=time.tzinfo or UTC)
        [named] = self.windows_of(pd.Series([time])).to_pylist()
        return str(named)


def _named(start: int) -> str:
    """Name a window by its start in microseconds since 1970; one before the year 1 has none of ISO 8601."""
    return f"{np.datetime64(start, 'us').astype('datetime64[s]')}Z"


def ask(model: ScoringModel, rows: pa.Table) -> tuple[pa.ChunkedArray, pd.DataFrame]:
    """Ask a model about rows of a table; give their inputs as JSON, and the answer."""
    inputs = typed_like(as_given(rows), model)
    return input_texts(inputs), model.predict_typed(inputs)


def _json_texts(values: pa.Array) -> pa.Array:
    """Write each value as JSON; text that needs no escape and whole numbers without Python's help."""
    if pa.types.is_integer(values.type):
        return values.cast(pa.string()).fill_null("null")
    text = pa.types.is_string(values.type) or pa.types.is_large_string(values.type)
    if text and not values.null_count and not _has_escapes(values):
        return pc.binary_join_element_wise('"', values.cast(pa.string()), '"', "")
    return pa.array([json.dumps(one, default=str) for one in values.to_pylist()], pa.string())


def _has_escapes(values: pa.Array) -> bool:
    """Tell whether JSON would write any of these texts otherwise than they are."""
    plain = values.cast(pa.large_string())
    _, ends, content = plain.buffers()
    if content is None:
        return False
    first, last = np.frombuffer(ends, np.int64)[[plain.offset, plain.offset + len(plain)]]
    letters = np.frombuffer(content, np.uint8)[first:last]
    return bool(_ESCAPED[letters].any())


def _column(answer: pd.DataFrame, name: str) -> pa.Array:
    if name in answer:
        return pa.array(answer[name], pa.float64())
    return pa.nulls(len(answer), pa.float64())


def _probabilities(answer: pd.DataFrame) -> pa.Array:
    columns = [str(name) for name in answer if str(name).startswith("probability_")]
    if not columns:
        return pa.nulls(len(answer), pa.string())
    rows = answer[columns].rename(columns=lambda name: str(name).removeprefix("probability_"))
    return pa.array([json.dumps(row) for row in rows.to_dict(orient="records")], pa.string())
