import numpy as np
import pytest
from pydantic import ValidationError

from mlops_dagster.declaration import BUSINESS, BusinessValue
from mlops_dagster.errors import DataNotFitError, SpecError
from mlops_dagster.metrics.business import best_threshold, values_by, values_of
from mlops_dagster.metrics.quality import Scored, greater_is_better, measure

COSTS = BusinessValue(true_positive=40, false_positive=-10, true_negative=0, false_negative=-50)


def scored(threshold: float = 0.5, rows: int = 20_000) -> Scored:
    """Answers whose probabilities are what they say."""
    chance = np.random.default_rng(0)
    share = chance.random(rows)
    return Scored(
        y_true=(chance.random(rows) < share).astype(int),
        y_pred=(share >= threshold).astype(int),
        probability=share,
        labels=(0, 1),
    )


def test_GO7_each_kind_of_decision_is_worth_what_is_declared():
    four = Scored(
        y_true=np.array([1, 0, 0, 1]),
        y_pred=np.array([1, 1, 0, 0]),
        probability=None,
        labels=(0, 1),
    )
    assert values_of(COSTS)(four).tolist() == [40, -10, 0, -50]
    found = measure(
        [BUSINESS, "accuracy"], four.y_true, four.y_pred, labels=(0, 1), worth=values_of(COSTS)
    )
    assert found == {BUSINESS: -5.0, "accuracy": 0.5}
    assert greater_is_better(BUSINESS)


def test_GO7_no_other_threshold_is_worth_more_than_the_chosen_one():
    best = best_threshold(COSTS)
    assert best == pytest.approx(0.1)
    worth = {at: float(values_of(COSTS)(scored(at)).mean()) for at in (best, 0.02, 0.3, 0.5, 0.7)}
    assert max(worth, key=worth.get) == best


def test_GO7_a_function_of_ones_own_values_decisions_too():
    values = values_by(lambda truth, said, share: (truth == said) * 2.0, where="shop:worth")
    given = scored()
    assert values(given).mean() == pytest.approx(2 * (given.y_true == given.y_pred).mean())
    wrong = values_by(lambda truth, said, share: 1.0, where="shop:worth")
    with pytest.raises(DataNotFitError, match="Give one value per decision"):
        wrong(given)


def test_values_that_always_ask_for_one_decision_have_no_threshold():
    lost = BusinessValue(true_positive=1, false_positive=5, true_negative=0, false_negative=0)
    with pytest.raises(SpecError, match="one decision would always be made"):
        best_threshold(lost)


def test_half_of_the_values_are_refused():
    with pytest.raises(ValidationError, match="or a function alone"):
        BusinessValue(true_positive=1)


def test_a_business_value_that_is_not_declared_is_no_metric():
    with pytest.raises(SpecError, match="business_value"):
        measure([BUSINESS], np.array([1]), np.array([1]), labels=(0, 1))
