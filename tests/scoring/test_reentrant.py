"""Which models several threads may ask at once."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OrdinalEncoder

from mlops_dagster.scoring.artifact import ModelArtifact
from mlops_dagster.scoring.loader import ScoringModel


class Own(ClassifierMixin, BaseEstimator):
    """A user's estimator, which may keep what it likes while it answers."""


def own(rows):
    return rows


def model_of(pipeline):
    artifact = ModelArtifact(functions=[own], inputs=[], columns=[], pipeline=pipeline, task="x")
    return ScoringModel(version="1", folder=Path(), loaded=None, artifact=artifact)


@pytest.mark.parametrize(
    "pipeline",
    [
        make_pipeline(
            make_column_transformer((OrdinalEncoder(), ["a"]), remainder="passthrough"),
            HistGradientBoostingClassifier(),
        ),
        make_pipeline(FunctionTransformer(np.log1p), LogisticRegression()),
        LogisticRegression(),
    ],
)
def test_what_is_scikit_learns_own_in_every_part_is_asked_by_several_threads(pipeline):
    assert model_of(pipeline).is_reentrant


@pytest.mark.parametrize(
    "pipeline",
    [
        make_pipeline(OrdinalEncoder(), Own()),
        make_pipeline(FunctionTransformer(own), LogisticRegression()),
        VotingClassifier([("one", LogisticRegression()), ("two", Own())]),
        Own(),
        object(),
    ],
)
def test_a_users_estimator_or_function_anywhere_is_asked_by_one_at_a_time(pipeline):
    assert not model_of(pipeline).is_reentrant
