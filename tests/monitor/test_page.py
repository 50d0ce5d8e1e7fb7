"""The page of a monitored model: what it says, what it leaves out, where it is kept."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pyarrow as pa
import pytest

from mlops_dagster.monitor.drift import EVERYTHING
from mlops_dagster.monitor.limits import NULLS
from mlops_dagster.monitor.page.axis import Axis, scale_of
from mlops_dagster.monitor.page.coverage import coverage
from mlops_dagster.monitor.page.draw import columns_of, draw_page
from mlops_dagster.monitor.page.heat import MOST_COLUMNS, MOST_WINDOWS, heat_map
from mlops_dagster.monitor.page.panels import panels
from mlops_dagster.monitor.page.state import state_of
from mlops_dagster.monitor.page.story import MOST_EVENTS, story
from mlops_dagster.monitor.page.timeline import timeline
from mlops_dagster.monitor.spec import DriftSpec, MonitorSpec
from mlops_dagster.monitor.windows import Window
from mlops_dagster.records import Outcome
from tests.monitor.conftest import START, WEEK, week_of_rows
from tests.monitor.pages import (
    check,
    current,
    decision,
    facts,
    finding,
    full,
    many,
    measured,
    move,
    performance,
    table,
    week,
)

FITTED = [week_of_rows(number) for number in range(4)]
VOID = {"meta", "br", "hr", "img", "link", "input"}


class Page(HTMLParser):
    """A page's texts by section, and whether each element ends where it should."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.sections: dict[str, str] = {}
        self.section = ""
        self.tags: list[tuple[str, dict]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "section":
            self.section = dict(attrs)["id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        if tag == "section":
            self.section = ""

    def handle_data(self, data):
        self.sections[self.section] = self.sections.get(self.section, "") + data


def drawn(**known) -> Page:
    page = Page(draw_page(facts(**known)))
    assert page.open == []
    return page


# --- THE STATE ---


@pytest.mark.parametrize(
    ("known", "kind", "said"),
    [
        (
            {
                "checks": [
                    check("data_fresh", Outcome.PASSED),
                    check("performance", Outcome.REFUSED),
                ]
            },
            "refused",
            "Over the limit: performance",
        ),
        ({"checks": [check("data_fresh", Outcome.PASSED)]}, "passed", "Within all limits"),
        (
            {
                "checks": [
                    check("data_fresh", Outcome.PASSED),
                    check("model_fresh", Outcome.NOT_APPLICABLE),
                ]
            },
            "passed",
            "Within all limits (1 of 2 checks could not be judged)",
        ),
        ({"champion": None, "since": None}, "not_applicable", "No champion yet"),
        (
            {"checks": [check("feature_drift", Outcome.NOT_APPLICABLE)]},
            "not_applicable",
            "Nothing could be judged yet",
        ),
        (
            {"checks": [check("data_fresh", Outcome.REFUSED)], "champion": None, "since": None},
            "refused",
            "Over the limit: age of the data",
        ),
    ],
)
def test_the_state_is_one_line(known, kind, said):
    state = state_of(facts(**known))
    assert (state.kind, state.said) == (kind, said)
    text = draw_page(facts(**known))
    assert f"{said}</p>" in text
    assert f"<title>{state.mark} Monitoring of shop/all</title>" in text


def test_many_alarms_are_counted_and_the_first_are_named():
    checks = [check(f"check_{number}", Outcome.REFUSED) for number in range(7)]
    said = state_of(facts(checks=checks)).said
    assert said == "Over the limit: check 0, check 1, check 2 and 4 more"


def test_checks_over_their_limit_come_first_and_a_long_sentence_is_folded():
    long = "Weather drifted. " * 40
    page = drawn(
        checks=[check("data_fresh", Outcome.PASSED), check("feature_drift", Outcome.REFUSED, long)]
    )
    said = page.sections[""]
    assert said.index("feature drift: over") < said.index("age of the data: within")
    assert "details" in [tag for tag, _ in page.tags]
    assert long.strip() in said


# --- ESCAPING ---


def test_no_name_or_label_of_the_users_data_becomes_markup():
    evil = "<script>alert('x')</script>\"&{{ 7*7 }}"
    # Labels are cut at blanks here.
    before = table(2_400, {evil: 0.0}, labels="a <b>bold</b>")
    now = table(600, {evil: 2.0}, labels="a <img/src=x>")
    text = draw_page(
        facts(
            checks=[check("feature_drift", Outcome.REFUSED, evil)],
            drift=[finding(5, evil, times=2.0), finding(4, evil, value=None, because=evil)],
            history=[
                measured(5, 0.4, metric=evil),
                measured(5, 0.4, kind="estimated", metric=evil),
            ],
            moves=[move(5, evil, why=evil, who=evil)],
            decisions=[decision(5, because=evil), decision(5, "none", because=evil)],
            current=current(before, now),
            run_id=evil,
            address=evil,
        )
    )
    page = Page(text)
    assert {tag for tag, _ in page.tags} & {"script", "img", "b>"} == set()
    assert "49" not in page.sections["story"]
    assert evil in page.sections["story"]
    assert evil in page.sections["drift"]
    assert "<img/src=x> new" in page.sections["columns"]
    assert "<b>bold" not in text


def test_the_page_asks_for_nothing_from_elsewhere():
    text = draw_page(full())
    assert "default-src 'none'; style-src 'unsafe-inline'" in text
    assert not re.findall(
        r"<(?:script|link|img|iframe|object)|src=|href=|url\(|@import|https?:", text
    )


# --- EMPTY STATES ---


def test_before_the_first_champion_each_part_says_so():
    page = drawn(champion=None, since=None)
    for name in ("timeline", "drift", "columns", "labels"):
        assert "no champion" in page.sections[name], name
    assert "Nothing was decided or moved yet." in page.sections["story"]


def test_what_is_not_declared_says_how_to_declare_it():
    page = drawn(spec=MonitorSpec())
    assert "only ages are watched" in page.sections["timeline"]
    assert "add drift under monitor" in page.sections["drift"]
    assert "add performance under monitor" in page.sections["labels"]


def test_before_the_first_complete_window_each_part_says_so():
    page = drawn()
    assert "No complete window has passed" in page.sections["timeline"]
    assert "No complete window has passed" in page.sections["drift"]
    assert "Version 1 has no window that could be judged yet" in page.sections["columns"]
    assert "No complete window of the champion's answers yet" in page.sections["labels"]


def test_windows_with_too_few_rows_say_why_none_was_judged():
    because = "the window has 12 rows, fewer than the 300 needed"
    few = finding(
        5,
        EVERYTHING,
        value=None,
        limit=None,
        outcome=Outcome.NOT_APPLICABLE,
        because=f"2013-02-11 to 2013-02-18: all columns: not applicable, {because}.",
    )
    page = drawn(drift=[few])
    assert because in page.sections["drift"]
    beside = heat_map([few, finding(4, "delay")], cut=False)
    [row] = beside.rows
    assert [cell.kind for cell in row.cells] == ["h0", "none"]
    assert because in row.cells[1].title


# --- THE TIMELINE ---


def test_labelled_loss_is_drawn_with_its_limit_alarms_versions_and_decisions():
    line = timeline(
        facts(
            history=[measured(5, 0.3), measured(6, 0.5), measured(7, 0.4, model_version="2")],
            performance=[
                performance(7, 0.4, 0.45, champion_version="2"),
                performance(6, 0.5, 0.45),
                performance(5, 0.3, 0.45),
            ],
            moves=[move(0, "1"), move(7, "2")],
            decisions=[decision(6.5), decision(6.6, "none")],
        )
    )
    assert line.title == "log loss by window"
    assert [mark.sign for mark in line.marks] == ["", "!", ""]
    assert "version 1: over the limit: labelled 0.5, limit 0.45" in line.marks[1].title
    assert (line.by, [one.label for one in line.versions]) == ("answers of", ["v1", "v2"])
    assert [one.sign for one in line.turns] == ["R", "↑"]
    assert line.turns[1].left == pytest.approx(100 * 2 / 3)
    assert len(line.limits) == 1
    assert "1 of 3 windows over the limit" in line.summary


def test_without_labels_the_estimate_is_drawn_and_called_blind():
    rows = [measured(number, 0.3, kind="estimated") for number in (5, 6)]
    nothing = [measured(number, None, labels=0, coverage=0.0) for number in (5, 6)]
    page = drawn(history=[*nothing, *rows])
    assert "concept drift is invisible" in page.sections["timeline"]
    line = timeline(facts(history=[*nothing, *rows]))
    assert (len(line.estimated), len(line.band), line.labelled) == (1, 1, [])


def test_without_any_metric_the_alarms_of_drift_are_drawn():
    line = timeline(
        facts(
            drift=[
                finding(6, "delay", times=2.0),
                finding(6, "probability", times=2.0, signal="prediction_drift"),
                finding(5, "delay"),
            ]
        )
    )
    assert line.title == "Alarms of drift by window"
    assert [(bar.kind, bar.top, bar.height) for bar in line.bars] == [
        ("features", 50.0, 50.0),
        ("answers", 0.0, 50.0),
    ]
    assert "1 of 2 windows have an alarm, 2 in the newest" in line.summary
    assert (line.by, [one.label for one in line.versions]) == ("judged against", ["v1"])


def test_a_window_without_labels_breaks_the_line():
    rows = [measured(number, 0.3) for number in (1, 2, 5)]
    gap = [measured(number, None, labels=0, coverage=0.0) for number in range(1, 6)]
    assert len(timeline(facts(history=[*rows, *gap])).labelled) == 2


def test_of_two_versions_in_a_window_the_one_judged_last_stands_for_it():
    line = timeline(
        facts(
            history=[measured(5, 0.3), measured(5, 0.6, model_version="2", labels=9)],
            performance=[performance(5, 0.6, 0.5, champion_version="2")],
        )
    )
    [mark] = line.marks
    assert "version 2" in mark.title


def test_a_time_beside_the_windows_is_not_on_the_axis():
    axis = Axis(windows=[week(1), week(2)])
    assert axis.moment(START) is None
    assert axis.moment(START + WEEK * 2) == 50.0
    batches = Axis(windows=[Window(batch=3), Window(batch=4)])
    assert batches.moment(START) is None
    assert [one.label for one in batches.ticks()] == ["batch 3", "batch 4"]


@pytest.mark.parametrize("values", [[], [0.0], [1e-9], [5.0, 5.0], [-3.0, 1e6], [float("nan")]])
def test_a_scale_shows_every_number_and_some_ticks(values):
    scale = scale_of(values)
    assert scale.low < scale.high
    assert 2 <= len(scale.ticks()) <= 6
    assert all(0 <= scale.place(one) <= 100 for one in values if one == one)


# --- THE MAP ---


def test_an_alarm_has_a_mark_beside_its_colour():
    seen = heat_map([finding(6, "delay", times=4.0), finding(5, "delay", times=0.9)], cut=False)
    [row] = seen.rows
    assert [(cell.kind, cell.text) for cell in row.cells] == [("h2", "0.9"), ("h5 alarm", "4.0!")]
    assert row.cells[1].title == "2013-02-18: 4.00 times the limit, major drift"


def test_findings_of_a_version_that_judged_a_window_before_are_not_mixed_in():
    newest_first = [
        finding(5, "delay", champion_version="2"),
        finding(5, "gone", times=3.0, champion_version="1"),
    ]
    seen = heat_map(newest_first, cut=False)
    assert [row.name for row in seen.rows] == ["delay"]
    assert [one.label for one in seen.versions] == ["2"]


def test_batches_are_windows_too():
    found = [
        finding(0, f"delay @ batch {batch}", times=batch / 5, window_start=None, window_end=None)
        for batch in (12, 9, 3)
    ]
    seen = heat_map(found, cut=False)
    [row] = seen.rows
    assert row.name == "delay"
    assert [one.label for one in seen.headings] == ["batch 3", "batch 9", "batch 12"]
    assert [cell.text for cell in row.cells] == ["0.6", "1.8!", "2.4!"]


def test_200_columns_and_300_windows_stay_small_and_what_is_left_out_is_said():
    known = replace(full(300, 60), drift=many(300, 200)[:20_000], cut=True)
    text = draw_page(known)
    assert len(text.encode()) < 500_000
    seen = heat_map(known.drift, cut=True)
    assert (len(seen.windows), len(seen.rows)) == (MOST_WINDOWS, MOST_COLUMNS)
    assert seen.rows[0].name == "column_000"
    assert seen.left == (
        "Left out: 160 columns with at most 0 alarm(s) each, 0.81 times the limit at the worst; "
        "39 and more older windows."
    )
    assert "160 columns" in text
    assert "older lines" in text


# --- COLUMNS, LABELS, EVENTS ---


def test_the_worst_columns_are_drawn_beside_the_reference():
    known = current(
        table(2_400, {"delay": 0.0, "distance": 0.0}),
        table(600, {"delay": 2.0, "distance": 0.0}, labels="airport new-one"),
    )
    first, *rest = panels(known)
    assert (first.name, first.kind) == ("delay", "refused")
    assert first.outlines.before.startswith("M0 100V")
    assert "lie outside of the picture" in first.outlines.note
    [origin] = [one for one in rest if one.name == "origin"]
    fresh = [pair.label for pair in origin.labels if pair.new]
    assert fresh == ["new-one"]
    assert sum(pair.before for pair in origin.labels) == pytest.approx(1.0)


def test_a_share_of_nulls_and_numbers_with_few_values_are_drawn_as_shares():
    before = pa.table({"stops": pa.array([0, 1, 2] * 800), "wind": pa.array([1.5, 2.5] * 1_200)})
    now = pa.table({"stops": pa.array([0, 5] * 300), "wind": pa.array([1.5, None] * 300)})
    found = {one.name: one for one in panels(current(before, now))}
    assert [pair.label for pair in found["stops"].labels] == ["0", "1", "2", "over 2"]
    [nulls] = found["wind" + NULLS].labels
    assert (nulls.before, nulls.now) == (0.0, 0.5)


def test_coverage_of_labels_is_shown_by_window():
    seen = coverage(facts(history=[measured(5, 0.3, labels=600, coverage=1.0), measured(6, 0.3)]))
    assert [bar.height for bar in seen.bars] == [100.0, 50.0]
    assert seen.summary.startswith("900 of 1,200 answers in 2 windows have a label")


def test_events_are_told_newest_first_and_the_oldest_are_left_out():
    moves = [move(number, str(number), id=number) for number in range(MOST_EVENTS + 5)]
    told = story(
        facts(moves=moves, decisions=[decision(90, "update"), decision(80, "none", "No.")])
    )
    assert told.events[0].what == f"promotion: version {MOST_EVENTS + 4}"
    assert told.left == 5
    assert told.no.why == "No."


def test_of_one_instant_the_move_comes_after_the_decision_that_led_to_it():
    told = story(
        facts(moves=[move(5, "1", "rollback", id=7), move(5, "2", id=8)], decisions=[decision(5)])
    )
    assert [one.what for one in told.events] == [
        "promotion: version 2",
        "rollback: version 1",
        "retrain (drift)",
    ]


# --- THROUGH THE ROOM ---


def page_of(record) -> str:
    return Path(record.shown["page"].value).read_text(encoding="utf-8")


def test_the_page_has_the_windows_of_earlier_looks_too(shop):
    shop.at(START + WEEK * 5)
    validated = shop.arrive(*FITTED, week_of_rows(4), week_of_rows(5, shift=2.0))
    shop.crown("1", *FITTED)
    shop.look(validated)
    shop.at(START + WEEK * 6)
    record = shop.look(shop.arrive(week_of_rows(6)))
    text = page_of(record)
    assert record.shown["windows"].value == 1
    assert "2013-02-04" in text
    assert "2013-02-11" in text
    assert "Over the limit: feature drift, prediction drift" in text
    assert "Worst columns of the newest window" in text
    assert "2013-02-11 to 2013-02-18 (600 rows)" in text


def test_a_look_without_a_new_window_still_draws_the_last_one(shop):
    shop.at(START + WEEK * 5)
    validated = shop.arrive(*FITTED, week_of_rows(4), week_of_rows(5, shift=2.0))
    shop.crown("1", *FITTED)
    shop.look(validated)
    record = shop.look(validated)
    assert record.shown["windows"].value == 0
    panel = Page(page_of(record)).sections["columns"]
    assert "2013-02-04 to 2013-02-11 (600 rows)" in panel
    assert "delay" in panel


def test_after_a_window_with_too_few_rows_the_last_judged_one_is_drawn(shop):
    shop.at(START + WEEK * 5)
    shop.crown("1", *FITTED)
    shop.look(shop.arrive(*FITTED, week_of_rows(4), week_of_rows(5, rows=20)))
    shop.at(START + WEEK * 6)
    page = Page(page_of(shop.look(shop.arrive(week_of_rows(6)))))
    assert "2013-02-04 to 2013-02-11 (600 rows)" in page.sections["columns"]
    assert "over the limit" not in page.sections["columns"]


def test_a_new_champion_says_that_it_has_no_window_yet_and_keeps_the_past(shop):
    shop.at(START + WEEK * 5)
    validated = shop.arrive(*FITTED, week_of_rows(4), week_of_rows(5, shift=2.0))
    shop.crown("1", *FITTED)
    shop.look(validated)
    shop.crown("2", *FITTED, week_of_rows(4))
    page = Page(page_of(shop.look(validated)))
    assert "Version 2 has no window that could be judged yet" in page.sections["columns"]
    assert "delay" in page.sections["drift"]


def test_without_a_champion_the_page_is_in_the_home_only(shop):
    record = shop.look(shop.arrive(*FITTED))
    assert "No champion yet" in page_of(record)
    assert "page in MLflow" not in record.shown


def test_batches_of_a_model_without_event_times_have_a_page(open_shop):
    shop = open_shop(event_time=None)
    weeks = [week_of_rows(number).drop(columns="at") for number in range(3)]
    first = shop.arrive(weeks[0], weeks[1])
    shop.crown("1", *weeks[:2], through=2)
    shop.look(first, MonitorSpec(drift=DriftSpec()))
    record = shop.look(shop.arrive(weeks[2]), MonitorSpec(drift=DriftSpec()))
    assert "batch 3" in page_of(record)
    again = shop.look(shop.arrive(), MonitorSpec(drift=DriftSpec()))
    assert "batch 3 (600 rows)" in page_of(again)
    shown = columns_of(page_of(record), version="1")
    assert "<article" in shown
    assert columns_of(page_of(again), version="1") == shown
    # On a machine that has no page yet the window is judged again.
    shop.context.report("monitoring.html").unlink()
    elsewhere = shop.look(shop.arrive(), MonitorSpec(drift=DriftSpec()))
    assert columns_of(page_of(elsewhere), version="1") == shown


def test_the_page_is_kept_with_the_run_that_made_the_champion(home, shop):
    tracking = shop.context.bench.tracking
    run_id = tracking.run_of(shop.context.owner)
    tracking.end(run_id, status="FINISHED")
    shop.at(START + WEEK * 5)
    validated = shop.arrive(*FITTED, week_of_rows(4, shift=2.0), week_of_rows(5))
    shop.crown("1", *FITTED, mlflow_run_id=run_id)
    record = shop.look(validated)
    [kept] = Path(shop.context.bench.artifacts_root).rglob("monitoring/shop.html")
    assert kept.read_text(encoding="utf-8") == page_of(record)
    assert run_id in kept.parts
    url = record.shown["page in MLflow"]
    assert url.kind == "url"
    place = f"/runs/{run_id}/artifactPath/monitoring/shop.html"
    assert url.value.partition("?")[0].endswith(place)


def test_a_run_that_is_gone_is_told_and_ends_no_watching(home, shop):
    shop.at(START + WEEK * 5)
    validated = shop.arrive(*FITTED, week_of_rows(4, shift=2.0), week_of_rows(5))
    shop.crown("1", *FITTED, mlflow_run_id="0" * 32)
    record = shop.look(validated)
    said = record.shown["page in MLflow"]
    assert said.kind == "text"
    assert "could not be logged to the run 000" in said.value
    assert record.alarms
    assert "feature drift" in page_of(record)
