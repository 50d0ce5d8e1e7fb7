"""`status` says when anybody looked, and what is wrong now."""

from datetime import UTC, datetime, timedelta

from mlops_dagster.cli.status_watch import watch_facts
from mlops_dagster.clock import ReplayClock
from mlops_dagster.records import Finding, Outcome
from mlops_dagster.workbench import Workbench

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def test_the_age_of_the_last_look_and_the_open_incidents_are_told(tmp_path):
    clock = ReplayClock(tmp_path / "clock")
    clock.set(NOW)
    bench = Workbench(home=tmp_path, clock=clock)
    assert [one.text for one in watch_facts(bench, "churn")] == ["never: `monitor` looks"]
    looked = Finding(
        model="churn", segment="all", signal="data_age", subject="data", outcome=Outcome.PASSED,
        value=1.0, limit=2.0, rows=0, window_start=None, window_end=None, at=NOW, because="1 h old.",
    )  # fmt: skip
    bench.operations.add_findings([looked])
    store = bench.operations.incidents
    store.open("churn", "all", "overdue", because="The last look was long ago.", at=NOW)
    store.open("churn", "all", "data_age", because="Too old.", at=NOW)
    store.close("churn", "all", "data_age", because="New data.", at=NOW)
    clock.set(NOW + timedelta(hours=30))
    look, incident = watch_facts(bench, "churn")
    assert look.text == "2026-03-01 00:00, 30.0 h ago"
    assert incident.text == (
        "overdue since 2026-03-01 00:00, nobody was told yet: The last look was long ago."
    )
