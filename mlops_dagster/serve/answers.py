"""Turn rows and a model's answer into rows of the table `predictions`."""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pandas as pd
import pyarrow as pa

from mlops_dagster.declaration import ModelIdentity
from mlops_dagster.scoring.inputs import as_given
from mlops_dagster.scoring.loader import ScoringModel
from mlops_dagster.scoring.rows import encode_inputs, typed_like

EPOCH = pd.Timestamp(0, tz="UTC")
NO_TIME = "no-time"
_NAMED = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scorer:
    """Scores chunk after chunk. `seen` counts equal rows without a key, so that each has an id."""

    model: ModelIdentity
    champion: ScoringModel
    window: timedelta
    at: datetime
    seen: Counter[str] = field(default_factory=Counter)

    def score(self, rows: pa.Table) -> pa.Table:
        """Score rows. Each has an id, its inputs as JSON, the answer, the version and the time."""
        texts, answer = ask(self.champion, rows)
        windows = self.windows(rows)
        named = (
            f"{self.model.address}/{w}/{k}"
            for w, k in zip(windows, self.keys(rows, texts), strict=True)
        )
        kept = [*self.model.key, *([self.model.event_time] if self.model.event_time else [])]
        count = rows.num_rows
        return pa.table(
            {
                "prediction_id": pa.array([digest(one) for one in named], pa.string()),
                **{name: rows[name] for name in dict.fromkeys(kept) if name in rows.column_names},
                "window": pa.array(windows, pa.string()),
                "inputs": pa.array(texts, pa.string()),
                "input_digest": pa.array([digest(text) for text in texts], pa.string()),
                "prediction": pa.Array.from_pandas(answer["prediction"]),
                "probability": _column(answer, "probability"),
                "probabilities": _probabilities(answer),
                "model_version": pa.array([self.champion.version] * count, pa.string()),
                "role": pa.array(["batch"] * count, pa.string()),
                "scored_at": pa.array([self.at] * count, pa.timestamp("us", "UTC")),
            }
        )

    def windows(self, rows: pa.Table) -> list[str]:
        """Name each row's window by its start, or by the batch it came with when rows have no time."""
        name = self.model.event_time
        if name is None:
            return [f"batch-{number}" for number in rows["_batch"].to_pylist()]
        return self.windows_of(as_given(rows.select([name]))[name])

    def windows_of(self, times: pd.Series) -> list[str]:
        """Name the window that each time falls into."""
        starts = EPOCH + ((times - EPOCH) // self.window) * self.window
        return list(starts.dt.strftime(_NAMED).where(times.notna(), NO_TIME))

    def keys(self, rows: pa.Table, texts: Sequence[str]) -> list[str]:
        """Name each row by its key, else by its inputs and how often they were seen before."""
        if self.model.key:
            values = (rows[name].to_pylist() for name in self.model.key)
            return [json.dumps(one, default=str) for one in zip(*values, strict=True)]
        keys = []
        for text in texts:
            keys.append(f"{text}#{self.seen[text]}")
            self.seen[text] += 1
        return keys

    def window_named(self, text: str) -> str:
        """Find the window that a time in ISO 8601 is in; anything else is a window's name already."""
        try:
            time = datetime.fromisoformat(text)
        except ValueError:
            return text
        time = time.replace(tzinfo=time.tzinfo or UTC)
        start = EPOCH + ((pd.Timestamp(time) - EPOCH) // self.window) * self.window
        return str(start.strftime(_NAMED))


def ask(model: ScoringModel, rows: pa.Table) -> tuple[list[str], pd.DataFrame]:
    """Ask a model about rows of a table; give their inputs as JSON, and the answer."""
    inputs = typed_like(as_given(rows), model)
    return encode_inputs(inputs), model.predict(inputs)


def digest(text: str) -> str:
    """Digest a text to 32 hex digits."""
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


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
