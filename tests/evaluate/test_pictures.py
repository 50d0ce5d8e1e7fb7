"""Pictures say what the numbers say, and stay small enough for an event."""

import base64
from dataclasses import replace

import numpy as np
import pytest

from mlops_dagster.evaluate import pictures
from mlops_dagster.evaluate.pictures import View, draw_all, pictures_of
from mlops_dagster.evaluate.rules import SliceScore
from mlops_dagster.metrics.quality import METRICS

CHANCE = np.random.default_rng(3)
LIKELY = CHANCE.random(5_000)
BINARY = View(
    truth=(CHANCE.random(5_000) < LIKELY).astype(float),
    prediction=(LIKELY >= 0.5).astype(float),
    probability=LIKELY,
    labels=[0.0, 1.0],
    slices=(),
    slice_metric="roc_auc",
    importances={},
    importance_metric="roc_auc",
    threshold=0.3,
)
CONSTANT = replace(BINARY, truth=np.sort(BINARY.truth), probability=np.full(5_000, 0.5))
NAMES = [f"class number {at}" for at in range(12)]
MANY = replace(
    BINARY,
    truth=CHANCE.choice(np.array(NAMES, dtype=object), 5_000),
    prediction=CHANCE.choice(NAMES, 5_000),
    probability=CHANCE.dirichlet(np.ones(12), 5_000),
    labels=NAMES,
)
NUMBER = replace(BINARY, truth=LIKELY * 9, prediction=LIKELY * 8 + 1, probability=None, labels=[])
LONG = {
    "slices": [
        SliceScore(
            column="name_of_the_carrier",
            value=f"a long value, number {at} of many that are alike at the end",
            rows=1_000_000 - at,
            metrics={"roc_auc": 0.5 + at / 50},
        )
        for at in range(20)
    ],
    "importances": {f"sum_of_transactions_{at}_in_the_last_month": 0.1 + at for at in range(20)},
}


def drawn(draw, view):
    from matplotlib.figure import Figure

    axis = Figure().subplots()
    draw(axis, view)
    return axis


@pytest.mark.parametrize("digits", [0, 1, 2, 9])
def test_the_area_under_the_curve_is_the_metric_also_with_equal_probabilities(digits):
    view = replace(BINARY, probability=LIKELY.round(digits))
    line = drawn(pictures.roc, view).lines[0].get_xydata()
    area = np.trapezoid(line[:, 1], line[:, 0])
    metric = METRICS["roc_auc"].score(view.truth, view.prediction, view.probability, view.labels)
    assert area == pytest.approx(metric, abs=1e-3)
    assert line[0].tolist() == [0, 0]
    assert line[-1].tolist() == [1, 1]


def test_a_model_that_answers_all_alike_is_drawn_as_one_that_knows_nothing():
    assert drawn(pictures.roc, CONSTANT).lines[0].get_xydata().tolist() == [[0, 0], [1, 1]]
    share = CONSTANT.truth.mean()
    levels = drawn(pictures.precision_recall, CONSTANT).lines[0].get_ydata()
    assert set(levels) == {share}
    [point] = drawn(pictures.calibration, CONSTANT).lines[1].get_xydata().tolist()
    assert point == [0.5, share]


def test_the_calibration_of_true_probabilities_lies_on_the_diagonal():
    points = drawn(pictures.calibration, BINARY).lines[1].get_xydata()
    assert len(points) == 10
    assert np.abs(points[:, 0] - points[:, 1]).max() < 0.06


@pytest.mark.parametrize(("draw", "places"), [(pictures.slices, 16), (pictures.importance, 12)])
def test_names_that_are_cut_alike_have_a_place_each(draw, places):
    axis = drawn(draw, replace(BINARY, **LONG))
    names = [label.get_text() for label in axis.get_yticklabels()]
    points = [each for line in axis.lines for each in line.get_xdata()]
    assert len([*axis.patches, *points]) == len(names) == places
    assert all("…" in name for name in names)


def test_the_title_says_how_many_slices_are_not_drawn():
    some = drawn(pictures.slices, replace(BINARY, **LONG))
    assert some.get_title() == "roc_auc by slice (rows), 16 of 20"
    every = drawn(pictures.slices, replace(BINARY, slices=LONG["slices"][:16]))
    assert every.get_title() == "roc_auc by slice (rows)"


@pytest.mark.parametrize(("view", "title"), [(BINARY, "Confusion at 0.3"), (MANY, "Confusion")])
def test_the_confusion_of_two_labels_says_from_which_probability_on(view, title):
    assert drawn(pictures.confusion, view).get_title() == title


def test_a_slice_value_with_dollar_signs_is_no_formula():
    one = SliceScore(column="price", value="$x^$", rows=5, metrics={"roc_auc": 0.5})
    axis = drawn(pictures.slices, replace(BINARY, slices=[one]))
    assert axis.get_yticklabels()[0].get_text() == r"price=\$x^\$ (5)"


@pytest.mark.parametrize(
    ("view", "names"),
    [
        (BINARY, ["roc", "precision_recall", "calibration", "confusion"]),
        (MANY, ["confusion"]),
        (NUMBER, ["predicted_and_true", "residuals"]),
    ],
)
def test_every_task_has_its_pictures_as_files_and_one_small_one_together(view, names, tmp_path):
    full = replace(view, **LONG)
    text = draw_all(full, tmp_path)
    wanted = [*names, "slices", "importance"]
    assert list(pictures_of(full)) == wanted
    assert {path.stem for path in tmp_path.iterdir()} == set(wanted)
    assert text.startswith("![the candidate on the holdout](data:image/png;base64,")
    assert len(text) < 90_000
    content = base64.b64decode(text.partition("base64,")[2].rstrip(")"))
    assert content.startswith(b"\x89PNG")


@pytest.mark.parametrize("view", [BINARY, MANY, NUMBER])
def test_every_picture_has_a_title_and_names_what_lies_across(view):
    for draw in pictures_of(replace(view, **LONG)).values():
        axis = drawn(draw, replace(view, **LONG))
        assert axis.get_title()
        assert axis.get_xlabel()
