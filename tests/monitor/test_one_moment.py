"""One look is of one moment, and says when it judged nothing."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from mlops_dagster.monitor.spec import MonitorSpec
from mlops_dagster.workbench import Workbench
from tests.monitor.conftest import SPEC, START, WEEK, week_of_rows

FITTED = [week_of_rows(number) for number in range(4)]


@dataclass
class Ticking:
    """A clock that is later each time it is read, as the machine's own is."""

    read: int = 0

    def now(self) -> datetime:
        self.read += 1
        return START + 5 * WEEK + timedelta(seconds=self.read)


def test_all_that_one_look_finds_has_one_time_so_that_status_shows_the_whole_look(shop):
    validated = replace(shop.arrive(*FITTED, week_of_rows(4, shift=0.6)), newest=START + 5 * WEEK)
    shop.crown("1", *FITTED)
    known = shop.context.bench
    bench = Workbench(home=known.home, clock=Ticking())
    bench.__dict__["registry"] = known.registry
    shop.context = replace(shop.context, bench=bench)
    shop.look(validated, SPEC)
    found = [one for _, one in bench.operations.findings("shop", "all")]
    assert {"data_age", "model_age", "feature_drift", "prediction_drift"} <= {
        one.signal for one in found
    }
    assert len({one.at for one in found}) == 1


def test_a_look_without_any_limit_says_that_it_judged_nothing(shop):
    validated = shop.arrive(*FITTED)
    shop.crown("1", *FITTED)
    shop.at(START + WEEK * 4)
    record = shop.look(validated, MonitorSpec())
    assert record.because.startswith("Nothing was judged: no limit is declared")
    assert shop.look(validated, SPEC).because == "Nothing is over its limit."


def test_a_look_between_two_windows_says_what_the_last_one_found(shop):
    validated = replace(shop.arrive(*FITTED, week_of_rows(4)), newest=START + WEEK * 5)
    shop.crown("1", *FITTED)
    shop.at(START + WEEK * 5 + timedelta(hours=1))
    spec = MonitorSpec(drift=SPEC.drift)
    found = [shop.look(validated, spec) for _ in range(2)]
    assert [one.because for one in found] == ["Nothing is over its limit."] * 2
