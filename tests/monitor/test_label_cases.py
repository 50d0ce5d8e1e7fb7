"""Labels in every order: whatever happens on the way, the end is what a recomputation gives."""

import json
import math
from collections.abc import Sequence

import pandas as pd
import pytest

from mlops_dagster.declaration import LabelJoin
from mlops_dagster.monitor.spec import MonitorSpec, PerformanceSpec
from tests.monitor.conftest import START, WEEK, week_of_rows
from tests.monitor.test_performance import Outcomes

ROWS = 60
SPEC = MonitorSpec(
    performance=PerformanceSpec(window=WEEK, metrics=("log_loss", "accuracy"), minimum_labels=30)
)
BEFORE, EARLY, LATE, LATER = "2013-02-01", "2013-02-12", "2013-02-14", "2013-02-16"
EVERY = range(ROWS)

# An event is (place, rows, label, time); a step is what comes between two looks.
CASES = {
    "all at once": [[("source", EVERY, 1, EARLY)]],
    "delayed, in three steps": [
        [("source", range(20), 1, EARLY)],
        [("source", range(20, 40), 0, LATE)],
        [("source", range(40, 60), 1, LATER)],
    ],
    "partial for good": [[("source", range(0, 60, 2), 1, EARLY)]],
    "no label at all": [[]],
    "duplicated in one step": [[("source", EVERY, 1, EARLY), ("source", EVERY, 1, EARLY)]],
    "duplicated a step later": [[("source", EVERY, 1, EARLY)], [("source", EVERY, 1, EARLY)]],
    "corrected": [[("source", EVERY, 1, EARLY)], [("source", range(30), 0, LATE)]],
    "corrected within one step": [[("source", EVERY, 1, EARLY), ("source", range(30), 0, LATE)]],
    "corrected and corrected back": [
        [("source", EVERY, 1, EARLY)],
        [("source", range(30), 0, LATE)],
        [("source", range(30), 1, LATER)],
    ],
    "the correction came first": [
        [("source", range(30), 0, LATE)],
        [("source", EVERY, 1, EARLY)],
    ],
    "out of order in one step": [[("source", range(30), 0, LATER), ("source", EVERY, 1, EARLY)]],
    "two labels of one time, the last one counts": [
        [("source", EVERY, 1, EARLY), ("source", range(30), 0, EARLY)]
    ],
    "for a prediction that nobody made": [
        [("source", [*EVERY, 999, 1_000], 1, EARLY)],
    ],
    "known before the prediction": [[("source", EVERY, 1, BEFORE)]],
    "a null label is none": [
        [("source", range(30), None, EARLY), ("source", range(30, 60), 1, EARLY)]
    ],
    "withdrawn": [[("source", EVERY, 1, EARLY)], [("source", range(20), None, LATE)]],
    "withdrawn and told again": [
        [("source", EVERY, 1, EARLY)],
        [("source", range(20), None, LATE)],
        [("source", range(20), 0, LATER)],
    ],
    "without a time, older than any with one": [
        [("source", EVERY, 1, EARLY)],
        [("source", range(30), 0, None)],
    ],
    "as feedback": [[("feedback", range(40), 1, EARLY)], [("feedback", range(10), 0, LATE)]],
    "feedback corrects the source": [
        [("source", EVERY, 1, EARLY)],
        [("feedback", range(15), 0, LATE)],
    ],
    "the source corrects feedback": [
        [("feedback", EVERY, 0, EARLY)],
        [("source", range(45), 1, LATE)],
    ],
    "in the rows themselves": [[("rows", range(40), 1, None)], [("rows", range(40, 60), 0, None)]],
    "the rows are corrected": [[("rows", EVERY, 1, None)], [("rows", range(15), 0, None)]],
    "a label with a time beats the rows": [
        [("source", range(20), 0, EARLY)],
        [("rows", EVERY, 1, None)],
    ],
    "a value that is no label is left out": [
        [("source", range(30), 7, EARLY), ("source", range(30, 60), 1, EARLY)]
    ],
}
RANK = {"rows": 0, "source": 1, "feedback": 2}


def recomputed(rows: pd.DataFrame, steps: Sequence) -> tuple[int, float, float]:
    """What the labels come to, from all events at once: (labels, log loss, accuracy)."""
    latest: dict[int, tuple] = {}
    events = [event for step in steps for event in step]
    for arrival, (place, ids, label, time) in enumerate(events):
        for one in ids:
            if label not in {None, 0, 1}:
                continue
            said = (time or "", RANK[place], arrival, label)
            latest[one] = max(latest.get(one, ("", -1, -1, None)), said, key=lambda it: it[:3])
    known = {one: said[3] for one, said in latest.items() if said[3] is not None and one < ROWS}
    losses, right = [], []
    for one, label in known.items():
        share = 1 / (1 + math.exp(-rows["delay"].iloc[one]))
        losses.append(-math.log(share if label else 1 - share))
        right.append((share >= 0.5) == bool(label))
    if not losses:
        return 0, math.nan, math.nan
    return len(losses), sum(losses) / len(losses), sum(right) / len(right)


BY_KEY = ("all at once", "corrected", "withdrawn", "for a prediction that nobody made")
BOTH = [(name, "prediction_id") for name in CASES] + [(name, "key") for name in BY_KEY]


@pytest.mark.parametrize(("name", "by"), BOTH)
def test_TE4_labels_in_any_order_end_at_the_value_of_a_recomputation(shop, name, by):
    steps = CASES[name]
    rows = week_of_rows(4, rows=ROWS)
    outcomes = Outcomes(shop, join=LabelJoin(label="outcome", label_time="known"))
    if by == "prediction_id":
        outcomes.join = LabelJoin(prediction_id="pid", label="outcome", label_time="known")
    outcomes.begin(rows)
    outcomes.answer(rows)
    shop.at(START + WEEK * 6)
    for step in steps:
        for place, ids, label, time in step:
            tell(outcomes, rows, place, ids, label, time, by=by)
        outcomes.look(SPEC)
    labels, loss, accuracy = recomputed(rows, steps)
    found = outcomes.finding()
    assert found.rows == labels
    kept = {one["metric"]: one for one in shown(outcomes)}
    if labels:
        assert found.value == pytest.approx(loss, rel=1e-12)
        assert kept["log_loss"]["value"] == pytest.approx(loss, rel=1e-12)
        assert kept["accuracy"]["value"] == pytest.approx(accuracy, rel=1e-12)
        assert kept["log_loss"]["coverage"] == labels / ROWS
    else:
        assert found.value is None
        assert "log_loss" not in kept


def tell(outcomes, rows, place, ids, label, time, *, by):
    names = [f"1-batch-{rows['id'].iloc[one] if one < ROWS else one}" for one in ids]
    if place == "feedback":
        outcomes.feed(*((name, json.dumps(label), time) for name in names))
    elif place == "rows":
        told = rows.iloc[list(ids)].assign(late=pd.array([label] * len(names), dtype="Int64"))
        outcomes.report(told)
    else:
        outcomes.declare(*((name, label, time) for name in names), by_key=by == "key")


def shown(outcomes):
    rows = outcomes.shop.context.bench.tables.read("shop/all/performance").to_pylist()
    whole = [one for one in rows if (one["kind"], one["slice"]) == ("labelled", "")]
    return [one for one in whole if one["value"] is not None]


def test_there_are_at_least_twenty_cases():
    assert len(CASES) >= 20


def test_labels_that_cannot_be_read_are_counted_and_shown(shop):
    rows = week_of_rows(4, rows=ROWS)
    outcomes = Outcomes(shop)
    outcomes.begin(rows)
    outcomes.answer(rows)
    outcomes.declare(*((f"1-batch-{one}", 7, EARLY) for one in rows["id"]))
    record = outcomes.look(SPEC)
    assert "60 from the label source are no values of the target" in record.shown["labels"].value
