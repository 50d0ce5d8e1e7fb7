"""A slice is judged beside all other rows: what moved all alike is the whole's, not the slice's."""

from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from mlops_dagster.declaration import Task
from mlops_dagster.metrics.losses import LossSketch, row_losses, sketch
from mlops_dagster.metrics.quality import Scored
from mlops_dagster.monitor.limits import Limits
from mlops_dagster.monitor.measured import Measured, SliceMeasured
from mlops_dagster.monitor.performance import judge_performance
from mlops_dagster.monitor.slice_drift import judge_slice_drift, watched_answers
from mlops_dagster.monitor.slice_limits import SlicesLimits
from mlops_dagster.monitor.spec import DriftSpec, PerformanceSpec
from mlops_dagster.monitor.windows import Window
from mlops_dagster.profiles.answers import (
    AnswerReference,
    GroupLosses,
    answer_reference,
    group_losses,
    profile_groups,
)
from mlops_dagster.profiles.groups import group_labels
from mlops_dagster.profiles.past import Every, number_windows, profile_groups_with_past
from mlops_dagster.profiles.reference import answers_profile
from mlops_dagster.profiles.tables import profile_of
from mlops_dagster.records import Outcome
from tests.monitor.conftest import MODEL, START, WEEK

SPEC = PerformanceSpec(window=WEEK, slices=("shop",))
SHOPS = np.repeat([f"s{one}" for one in range(6)], 500)
SIZE = len(SHOPS)


def weeks_of(count, chance, *, wobble=0.0, moved=0.0, of=(), shift=0.0, flipped=0.0):
    """Answers and outcomes. All move by `wobble` and by `moved`, the slices `of` by `shift`."""
    shape = (count, 6, 500)
    weekly = chance.normal(size=(count, 1, 1)) + chance.normal(size=(count, 6, 1)) / 4
    surprise = chance.normal(size=(count, 1, 1)) + chance.normal(size=(count, 6, 1)) / 4
    score = chance.normal(size=shape) - 1 + wobble * weekly + moved
    late = chance.random(shape) < 1 / (1 + np.exp(-score - wobble * surprise - moved))
    for one in of:
        score[:, one] += shift
        late[:, one] ^= chance.random((count, 500)) < flipped
    share = 1 / (1 + np.exp(-score.ravel()))
    truth = late.ravel().astype(int)
    return Scored(y_true=truth, y_pred=(share >= 0.5).astype(int), probability=share, labels=(0, 1))


def shops(scored):
    return pd.DataFrame({"shop": np.tile(SHOPS, len(scored.y_true) // SIZE)})


@cache
def learned(wobble=0.0, past=30, seed=1):
    """What a training keeps of `past` weeks, with two of them held out; and the limits of it."""
    every = weeks_of(past, np.random.default_rng(seed), wobble=wobble)
    cut = slice(-2 * SIZE, None)
    held = Scored(
        y_true=every.y_true[cut],
        y_pred=every.y_pred[cut],
        probability=every.probability[cut],
        labels=(0, 1),
    )
    times = pa.array(np.repeat(pd.date_range(START, periods=past, freq="7D"), SIZE))
    answers = watched_answers(held)
    profile = answers_profile(answers, watched_answers(every), event_times=times, window=WEEK)
    reference = answer_reference(
        Task.BINARY,
        held,
        metrics={},
        slices=shops(held),
        features=pd.DataFrame(index=range(len(held.y_true))),
        every=Every(
            scored=every,
            held_out=np.arange(len(every.y_true)) >= len(every.y_true) - 2 * SIZE,
            windows=number_windows(times, length=WEEK),
            slices=shops(every),
            answers=watched_answers(every),
        ),
        answers=(answers, profile),
    )
    whole = Limits(profile, DriftSpec(), apart=True)
    return reference, SlicesLimits(reference.slice_answers, whole=whole)


def performance(reference, week):
    losses = row_losses(Task.BINARY, week)
    [before] = reference.slices
    measured = Measured(
        window=Window(start=START, end=START + WEEK),
        version="1",
        source="stored",
        rows=SIZE,
        loss=sketch(losses),
        as_of=START,
        metrics={},
        estimates={},
        slices=[
            SliceMeasured(column="shop", value=name, loss=one, before=before.losses[name])
            for name, one in group_losses(SHOPS.astype(object), losses).items()
        ],
    )
    found = judge_performance(MODEL, measured, reference, spec=SPEC)
    return {one.subject: one for one in found}


def drift(reference, limits, week):
    found = judge_slice_drift(week, shops(week), reference, spec=SPEC, limits=limits)
    return {one.subject: one for one in found}


def alarms(found, signal):
    return [
        name
        for name, one in found.items()
        if one.signal == signal and one.outcome is Outcome.REFUSED
    ]


def test_slices_of_weeks_that_wobble_alarm_rarely_though_each_week_is_off():
    chance = np.random.default_rng(2)
    false = {"slice_performance": 0, "slice_drift": 0}
    for seed in range(3):
        reference, limits = learned(wobble=0.3, seed=seed)
        for _ in range(10):
            week = weeks_of(1, chance, wobble=0.3)
            found = performance(reference, week) | drift(reference, limits, week)
            for signal in false:
                false[signal] += bool(alarms(found, signal))
    assert max(false.values()) <= 2


def test_TE12_one_slice_that_falls_alarms_though_weeks_wobble():
    reference, _ = learned(wobble=0.3)
    week = weeks_of(1, np.random.default_rng(3), wobble=0.3, of=(2,), flipped=0.3)
    found = performance(reference, week)
    assert alarms(found, "slice_performance") == ["log_loss: shop=s2"]
    told = found["log_loss: shop=s2"].told
    assert "The limit allows for" in told
    assert "chance, and for how this slice's 28 windows differ from the others' anyway." in told


def test_TE12_answers_of_one_slice_that_move_beside_the_others_alarm_though_weeks_wobble():
    reference, limits = learned(wobble=0.3, seed=2)
    week = weeks_of(1, np.random.default_rng(4), wobble=0.3, of=(4,), shift=0.8)
    found = drift(reference, limits, week)
    assert alarms(found, "slice_drift") == ["shop=s4: probability"]
    told = found["shop=s4: probability"].told
    assert "What all other answers moved by is taken off." in told
    assert "for how this slice's 28 windows differ from the others' anyway." in told


def test_what_moves_all_slices_alike_is_the_wholes_and_no_slices():
    reference, limits = learned(wobble=0.1)
    week = weeks_of(1, np.random.default_rng(5), moved=1.0)
    found = performance(reference, week) | drift(reference, limits, week)
    assert alarms(found, "performance") == ["log_loss"]
    assert alarms(found, "slice_performance") == []
    assert alarms(found, "slice_drift") == []


def test_a_slice_that_did_not_get_better_as_the_others_did_is_no_fall():
    reference, _ = learned()
    week = weeks_of(1, np.random.default_rng(6), of=(0, 1, 2, 3, 4), shift=-2.0, flipped=0.0)
    week = replace(week, y_true=np.where(np.arange(SIZE) < 2_500, 0, week.y_true))
    found = performance(reference, week)
    assert found["log_loss"].value < reference.loss.mean
    assert alarms(found, "slice_performance") == []


def test_the_limits_of_a_slice_widen_by_how_its_weeks_differ_from_the_others():
    week = weeks_of(1, np.random.default_rng(7))
    reaches = []
    for wobble in (0.0, 0.6):
        reference, limits = learned(wobble=wobble)
        fell = performance(reference, week)["log_loss: shop=s1"]
        before = reference.slices[0].losses["s1"].mean
        moved = drift(reference, limits, week)["shop=s1: probability"]
        reaches.append((fell.limit - before, moved.limit))
    steady, restless = reaches
    assert restless[0] > steady[0] * 1.1
    assert restless[1] > steady[1] * 1.5


def test_too_few_windows_are_said_and_the_limit_is_of_chance_alone():
    reference, limits = learned(past=5)
    week = weeks_of(1, np.random.default_rng(8), of=(2,), shift=0.8, flipped=0.3)
    found = performance(reference, week) | drift(reference, limits, week)
    told = found["log_loss: shop=s1"].told
    assert "for chance alone: fewer than 20 windows of labelled rows" in told
    assert "The limit is of chance alone" in found["shop=s1: probability"].told
    assert alarms(found, "slice_performance") == ["log_loss: shop=s2"]
    assert alarms(found, "slice_drift") == ["shop=s2: probability"]


def few_windows(reference, limits, count):
    """What a model would keep whose slices have so many windows."""
    [before] = reference.slices
    losses = {
        name: replace(one, windows=one.windows[:count]) for name, one in before.losses.items()
    }
    answers = {
        name: replace(one, windows=one.windows[:count])
        for name, one in reference.slice_answers["shop"].items()
    }
    few = SlicesLimits({"shop": answers}, whole=limits.whole)
    return replace(reference, slices=(replace(before, losses=losses),)), few


def test_slices_with_few_windows_tell_together_how_they_differ():
    reference, few = few_windows(*learned(wobble=0.3), 10)
    week = weeks_of(1, np.random.default_rng(9))
    found = performance(reference, week) | drift(reference, few, week)
    for name in ("log_loss: shop=s1", "shop=s1: probability"):
        assert "how the slices' 60 windows differ from the others' anyway." in found[name].told


def test_where_slices_have_next_to_no_windows_those_of_all_rows_tell_how_they_differ():
    reference, few = few_windows(*learned(wobble=0.3), 3)
    week = weeks_of(1, np.random.default_rng(9))
    found = performance(reference, week) | drift(reference, few, week)
    assert "how the 28 windows of all rows differ anyway." in found["log_loss: shop=s1"].told
    assert "how the 29 windows of all rows differ anyway." in found["shop=s1: probability"].told


def test_predicted_labels_of_a_slice_are_judged_beside_the_others_too():
    chance = np.random.default_rng(11)

    def answered(weeks, of=(), common=0.0):
        late = np.clip(0.3 + common + 0.05 * chance.normal(size=(weeks, 1)), 0.05, 0.95)
        share = np.repeat(late, SIZE, axis=1)
        for one in of:
            share[:, one == SHOPS] += 0.15
        kinds = np.where(chance.random((weeks, SIZE)) < share, "late", "early")
        lost = chance.random((weeks, SIZE)) < 0.05
        names = np.where(lost, "lost", kinds).ravel()
        return Scored(
            y_true=names, y_pred=names, probability=None, labels=("early", "late", "lost")
        )

    past = answered(30)
    held = replace(past, y_true=past.y_true[-2 * SIZE :], y_pred=past.y_pred[-2 * SIZE :])
    bins = profile_of(watched_answers(held))
    grouping = group_labels("shop", shops(held)["shop"])
    every = Every(
        scored=past,
        held_out=np.arange(30 * SIZE) >= 28 * SIZE,
        windows=np.repeat(np.arange(30.0), SIZE),
        slices=shops(past),
        answers=watched_answers(past),
    )
    kept = profile_groups(grouping, shops(held)["shop"], watched_answers(held), bins)
    known = {"shop": profile_groups_with_past(kept, grouping, every)}
    reference = AnswerReference(
        loss=sketch(np.ones(10)),
        slices=(GroupLosses(grouping=grouping, losses={}),),
        slice_answers=known,
    )
    limits = SlicesLimits(known, whole=None)
    assert alarms(drift(reference, limits, answered(1, common=0.2)), "slice_drift") == []
    found = drift(reference, limits, answered(1, of=("s1",), common=0.1))
    assert alarms(found, "slice_drift") == ["shop=s1: prediction"]


def test_the_rest_of_some_losses_is_what_a_sketch_of_it_would_be():
    losses = np.random.default_rng(10).gamma(2.0, size=3_000)
    rest = sketch(losses).without(sketch(losses[:1_000]))
    direct = sketch(losses[1_000:])
    assert (rest.rows, rest.mean, rest.sd) == pytest.approx((2_000, direct.mean, direct.sd))
    assert sketch(losses).without(sketch(losses)) == LossSketch(rows=0, mean=0.0, sd=0.0, skew=0.0)
