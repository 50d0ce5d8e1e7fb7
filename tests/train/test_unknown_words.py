"""A word that no row was fitted on."""

import numpy as np
import pandas as pd
import pytest

from mlops_dagster.train.estimator import make_pipeline
from mlops_dagster.train.spec import EncodeSpec

WORDS = np.array(["airport", "harbour", "north", None], dtype=object)
PRICES = {"airport": 90.0, "harbour": 10.0, "north": 11.0, None: 12.0}


@pytest.mark.parametrize("nulls", [True, False])
def test_a_word_that_was_not_fitted_on_is_answered_as_null_is_and_not_as_its_neighbour(nulls):
    from sklearn.ensemble import GradientBoostingRegressor, HistGradientBoostingRegressor

    zone = pd.DataFrame({"zone": np.tile(WORDS, 100)})
    price = zone["zone"].map(PRICES)
    kind = HistGradientBoostingRegressor if nulls else GradientBoostingRegressor
    estimator = kind(random_state=1)
    model = make_pipeline(estimator, zone, EncodeSpec(categorical="ordinal")).fit(zone, price)
    asked = pd.DataFrame({"zone": pd.array(["mars", "", None, "airport"], dtype=object)})
    mars, empty, null, airport = model.predict(asked)
    assert mars == empty == null
    assert null == pytest.approx(12, abs=1)
    assert airport == pytest.approx(90, abs=1)
