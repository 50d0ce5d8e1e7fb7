"""A made history is played under several policies, by the code that decides, fits and judges."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from mlops_dagster.cli.backtest import learning
from mlops_dagster.errors import SpecError
from mlops_dagster.monitor.spec import PerformanceSpec
from mlops_dagster.replay.backtest import Play, policy_of
from mlops_dagster.replay.candidates import Trainer
from mlops_dagster.replay.history import History, LabelDelay, as_utc
from mlops_dagster.replay.show import draw, write_table
from mlops_dagster.replay.watching import Watcher
from mlops_dagster.scoring.feature_rows import FeatureRows
from mlops_dagster.train.holdout import answered_holdout
from mlops_dagster.train.learning import learn, reference_profile
from tests.lifecycle.small import cancer_spec
from tests.train.conftest import Shop

START = datetime(2026, 1, 5, tzinfo=UTC)
DAYS, PER_DAY = 90, 60
TURNS = 40


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    return cancer_spec(
        tmp_path_factory.mktemp("place") / "none.csv",
        train={
            "estimator": "sklearn.linear_model.LogisticRegression",
            "split": {"kind": "time", "holdout": "5d"},
        },
        monitor={"drift": {"window": "5d", "minimum_rows": 200}},
        retrain={"min_new_rows": 200, "cooldown": "4d"},
    )


@pytest.fixture(scope="module")
def history(spec):
    """Ninety days; on day forty sizes grow, and what counts as large grows with them."""
    chance = np.random.default_rng(5)
    day = np.repeat(np.arange(DAYS), PER_DAY)
    turned = day >= TURNS
    size = chance.normal(size=len(day)) + turned * 1.5
    late = (size - turned * 1.5 + chance.normal(scale=0.6, size=len(day)) > 0).astype(float)
    seen = pd.to_datetime(START) + pd.to_timedelta(day + chance.random(len(day)), unit="D")
    rows = pd.DataFrame({"id": range(len(day)), "seen": seen, "target": late, "f__size": size})
    rows = rows.sort_values("seen", ignore_index=True)
    rows["seen"] = as_utc(rows["seen"])
    delay = LabelDelay.read("2d")
    return History(
        model=spec.identity,
        rows=FeatureRows(table=pa.Table.from_pandas(rows, preserve_index=False)),
        times=rows["seen"],
        known=delay.known_at(rows["seen"]),
    )


@pytest.fixture(scope="module")
def played(spec, history):
    from mlops_dagster.monitor.windows import complete_windows

    begin = START + timedelta(days=20)
    windows = complete_windows(
        length=timedelta(days=5), after=begin, until=START + timedelta(days=DAYS)
    )
    trainer, watcher = (
        Trainer(history, spec),
        Watcher(history, spec.monitor.drift, PerformanceSpec(), windows),
    )
    names = ("never", "weekly", "new_data", "drift", "performance", "all")
    return {
        name: Play(history, trainer, watcher, policy_of(name, spec.retrain)).run(name, windows)
        for name in names
    }


def test_who_never_retrains_pays_for_it_and_drift_and_labels_see_the_turn(played):
    never = played["never"]
    assert (never.live, never.refused) == (1, 0)
    for name in ("drift", "performance", "all"):
        assert played[name].live > 1
        assert played[name].loss < never.loss
    for name in ("drift", "performance"):
        before = [s for s in played[name].steps if s.window.end <= START + timedelta(days=TURNS)]
        assert {step.version for step in before} == {1}


def test_the_same_rows_are_fitted_once_and_each_policy_is_told_what_its_own_cost(played):
    assert all(one.cpu_s > 0 for one in played.values())
    assert played["weekly"].cpu_s > played["never"].cpu_s


def test_a_version_serves_only_rows_that_came_after_it_was_decided(played, history):
    for one in played.values():
        for step in one.steps:
            assert step.decision.at == step.window.end
    assert history.learnt_by(START + timedelta(days=2)).size < PER_DAY


def test_the_policies_are_a_table_and_a_picture(played, tmp_path):
    text = write_table(list(played.values()))
    assert text.splitlines()[1].split()[:4] == ["never", "0", "0", "0"]
    draw(list(played.values()), tmp_path / "play.png", title="shop")
    assert (tmp_path / "play.png").read_bytes().startswith(b"\x89PNG")


def test_training_windows_are_played_and_compared(spec, history):
    from mlops_dagster.monitor.windows import complete_windows

    begin, length = START + timedelta(days=30), timedelta(days=5)
    windows = complete_windows(length=length, after=begin, until=START + timedelta(days=DAYS))
    watcher = Watcher(history, spec.monitor.drift, PerformanceSpec(), windows)
    policy = policy_of("new_data", spec.retrain)
    declared = learning(spec, "all,10d")
    assert {name: one.train.window for name, one in declared.items()} == {
        "all": None,
        "10d": timedelta(days=10),
    }
    assert learning(spec, None) == {"": spec}
    trainers = {name: Trainer(history, one) for name, one in declared.items()}
    late = START + timedelta(days=70)
    few, many = trainers["10d"].candidate(late), trainers["all"].candidate(late)
    assert (few.holdout == many.holdout).all()
    # Ten days are learned from, and five are held out.
    assert few.rows == pytest.approx(15 * PER_DAY, rel=0.02)
    assert many.rows == pytest.approx(68 * PER_DAY, rel=0.02)
    found = [
        Play(history, one, watcher, policy).run("new_data", windows, learning=name)
        for name, one in trainers.items()
    ]
    lines = write_table(found).splitlines()
    assert [line.split()[:2] for line in lines[1:3]] == [["new_data", "all"], ["new_data", "10d"]]
    # What was learned before the turn misleads, so the short window does better here.
    assert found[1].loss < found[0].loss


def test_a_training_window_that_is_no_length_is_refused(spec):
    with pytest.raises(SpecError, match="'90' is neither `all` nor a length such as 90d"):
        learning(spec, "all,90")


def test_an_unknown_policy_names_the_nearest():
    from mlops_dagster.retrain.spec import RetrainSpec

    with pytest.raises(SpecError, match="Did you mean 'weekly'"):
        policy_of("weakly", RetrainSpec())


@pytest.mark.parametrize(
    ("text", "known"),
    [("36h", "2013-03-21T12:00"), ("5d", "2013-03-25T00:00"), ("month+2d", "2013-04-03T00:00")],
)
def test_outcomes_are_known_after_a_delay_or_with_the_months_report(text, known):
    times = pd.Series([pd.Timestamp("2013-03-20", tz="UTC")])
    assert LabelDelay.read(text).known_at(times)[0] == pd.Timestamp(known, tz="UTC")


def test_a_delay_that_is_none_is_refused():
    with pytest.raises(SpecError, match="'soon' is no delay"):
        LabelDelay.read("soon")


def test_a_replay_judges_by_the_very_reference_that_a_training_keeps(bench, tmp_path):
    chance = np.random.default_rng(8)
    size = chance.normal(size=9_000)
    rows = pd.DataFrame(
        {
            "id": range(len(size)),
            "seen": pd.date_range(START, periods=len(size), freq="30min"),
            "size": size,
            "late": (size + chance.normal(size=len(size)) > 0).astype(float),
        }
    )
    declared = cancer_spec(
        tmp_path / "none.csv",
        name="parcels",
        target="late",
        train={
            "estimator": "sklearn.linear_model.LogisticRegression",
            "split": {"kind": "time", "holdout": "14d"},
        },
        monitor={"drift": {"window": "7d"}},
    )
    shop = Shop(bench=bench, functions=())
    context = shop.step()
    made = shop.features(context, rows)
    lesson = learn(context, declared.train, made, functions=())
    window = declared.monitor.reference_window
    kept = reference_profile(context, made, lesson, window=window)
    live = answered_holdout(context.model, lesson, kept, slices=(), window=window)

    read = FeatureRows(table=FeatureRows.read(bench.tables, made.table).table.sort_by("seen"))
    times = as_utc(read.column("seen"))
    history = History(
        model=declared.identity,
        rows=read,
        times=times,
        known=LabelDelay.read("0d").known_at(times),
    )
    played = Trainer(history, declared).candidate(START + timedelta(days=365))
    assert len(live.loss.windows) == 25
    assert played.loss.limit_over_time(quantile=0.99) == live.loss.limit_over_time(quantile=0.99)
    assert played.loss == live.loss
    assert played.reference.predictions == kept.predictions
