"""What a model's files hold: the feature code, the encoders and the estimator, all by value.

This module imports nothing of the package and is pickled by value itself: a process that has neither
the package nor the user's source can load the model and gets the same answers.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd


class ModelArtifact:
    """Raw rows in, predictions out.

    `inputs` are the columns it is given (one that is absent is null), `functions` the user's feature
    functions in order, `columns` what the fitted `pipeline` takes of their result. `labels` are the
    classes in the pipeline's order; the last one of two is the positive, and is the answer when its
    probability is at least `threshold`. `times` are inputs read as instants, `numbers` inputs read as
    doubles, `texts` the feature columns that are no numbers.
    """

    def __init__(  # noqa: PLR0913 - one argument for each thing that travels
        self,
        *,
        functions: Sequence[Callable[[pd.DataFrame], pd.DataFrame]],
        inputs: Sequence[str],
        columns: Sequence[str],
        pipeline: Any,
        task: str,
        labels: Sequence[Any] = (),
        times: Sequence[str] = (),
        texts: Sequence[str] = (),
        numbers: Sequence[str] = (),
        threshold: float = 0.5,
    ) -> None:
        self.functions = list(functions)
        self.inputs = list(inputs)
        self.columns = list(columns)
        self.pipeline = pipeline
        self.task = str(task)
        self.labels = list(labels)
        self.times = list(times)
        self.texts = list(texts)
        self.numbers = list(numbers)
        self.threshold = float(threshold)

    def features(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Make the feature columns of rows, in the rows' order, on an index from 0."""
        made = rows.reindex(columns=self.inputs).reset_index(drop=True)
        for name in self.inputs:
            if name not in rows and name not in (*self.times, *self.numbers):
                made[name] = pd.Series([None] * len(made), dtype=object)
        for name in self.times:
            made[name] = pd.to_datetime(made[name], utc=True, format="ISO8601")
        for name in self.numbers:
            made[name] = pd.to_numeric(made[name]).astype("float64")
        for function in self.functions:
            made = function(made)
        return made.reindex(columns=self.columns)

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Score rows: `prediction`, and `probability` or `probability_<label>` of a classification."""
        del context, params
        return self.score(self.features(pd.DataFrame(model_input)))

    def score(self, features: pd.DataFrame) -> pd.DataFrame:
        """Score feature columns that were made already."""
        if not len(features):
            return pd.DataFrame({name: pd.Series(dtype="float64") for name in self._answers()})
        given = estimator_input(features, self.texts)
        if self.task == "regression":
            return pd.DataFrame({"prediction": np.asarray(self.pipeline.predict(given), float)})
        likely = np.asarray(self.pipeline.predict_proba(given), float)
        labels = np.asarray(self.labels)
        answer: dict[str, Any] = {"prediction": labels[likely.argmax(axis=1)]}
        if len(self.labels) == 2:
            # From the threshold on it is the positive: the label follows from the probability alone.
            answer["prediction"] = labels[(likely[:, 1] >= self.threshold).astype(int)]
            answer["probability"] = likely[:, 1]
        else:
            for at, label in enumerate(self.labels):
                answer[f"probability_{label}"] = likely[:, at]
        return pd.DataFrame(answer)

    def _answers(self) -> list[str]:
        if self.task == "regression":
            return ["prediction"]
        if len(self.labels) == 2:
            return ["prediction", "probability"]
        return ["prediction", *(f"probability_{label}" for label in self.labels)]


def estimator_input(features: pd.DataFrame, texts: Sequence[str]) -> pd.DataFrame:
    """Give feature columns the types that a pipeline is fitted on: doubles, and text with None."""
    made = features.copy(deep=False)
    for name, kind in features.dtypes.items():
        if name not in texts:
            if kind != np.float64:
                made[name] = features[name].astype("float64")
        elif not pd.api.types.is_object_dtype(kind) or features[name].isna().any():
            made[name] = features[name].astype(object).where(features[name].notna(), None)
    return made
