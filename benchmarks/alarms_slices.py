"""How often an alarm of slices is false, and how often it sees the one slice that changed.

`make bench-alarms` runs it after the columns. Weeks differ anyway: all slices together, and each by
itself. Every window is judged by the code that `monitor` uses; beside it stands the limit of chance
alone, on the same windows.
"""

import argparse
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from mlops_dagster.declaration import ModelIdentity, Task
from mlops_dagster.metrics.limits import per_test
from mlops_dagster.metrics.losses import row_losses, sketch
from mlops_dagster.metrics.quality import Scored
from mlops_dagster.monitor.drift import judge_drift
from mlops_dagster.monitor.limits import Limits
from mlops_dagster.monitor.measured import LossVerdict, Measured, SliceMeasured
from mlops_dagster.monitor.performance import judge_performance
from mlops_dagster.monitor.slice_drift import judge_slice_drift, watched_answers
from mlops_dagster.monitor.slice_limits import SlicesLimits
from mlops_dagster.monitor.spec import DriftSpec, PerformanceSpec
from mlops_dagster.monitor.windows import Window
from mlops_dagster.profiles.answers import (
    AnswerReference,
    answer_reference,
    group_losses,
    profile_groups,
)
from mlops_dagster.profiles.columns import TableProfile
from mlops_dagster.profiles.past import Every, number_windows
from mlops_dagster.profiles.reference import answers_profile
from mlops_dagster.records import Outcome

SLICES, PER_SLICE = 10, 1_000
SIZE = SLICES * PER_SLICE
PAST, HELD_OUT = 40, 2
WOBBLES = (0.0, 0.1, 0.3)
OURS, CHANCE = "mlops-dagster", "chance alone, each slice by itself"
SPEC = PerformanceSpec(slices=("shop",))
MODEL = ModelIdentity(name="shop", task=Task.BINARY, target="late", key=("id",))
START = datetime(2026, 1, 5, tzinfo=UTC)
NAMES = np.repeat([f"s{one}" for one in range(SLICES)], PER_SLICE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What happens to the first slice: labels turned round, answers moved by so many of their sd."""

    name: str = "quiet"
    flipped: float = 0.0
    moved: float = 0.0


CHANGES = (Change(), Change(name="30 % flipped", flipped=0.3), Change(name="+0.25 sd", moved=0.25))


@dataclass(frozen=True, slots=True)
class Weeks:
    """Answers and outcomes of some weeks, slice after slice in each."""

    share: npt.NDArray[np.float64]
    truth: npt.NDArray[np.int64]

    @property
    def scored(self) -> Scored:
        """The same as the rooms read it."""
        late = (self.share >= 0.5).astype(int)
        return Scored(y_true=self.truth, y_pred=late, probability=self.share, labels=(0, 1))

    @property
    def shops(self) -> pd.DataFrame:
        """The slice of each row."""
        return pd.DataFrame({"shop": np.tile(NAMES, len(self.share) // SIZE)})


def weeks_of(count: int, chance: np.random.Generator, *, wobble: float, change: Change) -> Weeks:
    """Make some weeks. By `wobble` standard deviations of the score all slices move alike from week to
    week, and each by a quarter of that for itself.
    """
    shape = (count, SLICES, PER_SLICE)
    moved, surprise = (_weekly(count, chance, wobble) for _ in range(2))
    score = chance.normal(size=shape) + moved
    share = 1 / (1 + np.exp(1 - score))
    late = chance.random(shape) < 1 / (1 + np.exp(1 - score - surprise))
    turned = chance.random((count, PER_SLICE)) < change.flipped
    late[:, 0] ^= turned
    share[:, 0] = np.clip(share[:, 0] + change.moved * share.std(), 0.001, 0.999)
    return Weeks(share.ravel(), late.ravel().astype(np.int64))


def _weekly(count: int, chance: np.random.Generator, wobble: float) -> npt.NDArray[np.float64]:
    common = chance.normal(size=(count, 1, 1))
    own = chance.normal(size=(count, SLICES, 1))
    return wobble * (common + own / 4)


@dataclass(frozen=True, slots=True)
class Judge:
    """One reference with its limits, and the limits of chance alone for each slice by itself."""

    reference: AnswerReference
    limits: SlicesLimits
    by_chance: dict[str, Limits]

    def alarms(self, week: Weeks) -> set[tuple[str, str]]:
        """Tell which rule alarms of which signal in one week."""
        found = [*self._performance(week), *self._drift(week)]
        ours = {(OURS, one.signal) for one in found if one.outcome is Outcome.REFUSED}
        return ours | {(CHANCE, one) for one in self._by_chance(week)}

    def _drift(self, week: Weeks) -> list[LossVerdict]:
        return judge_slice_drift(
            week.scored, week.shops, self.reference, spec=SPEC, limits=self.limits
        )

    def _performance(self, week: Weeks) -> list[LossVerdict]:
        losses = row_losses(Task.BINARY, week.scored)
        [before] = self.reference.slices
        slices = [
            SliceMeasured(column="shop", value=name, loss=one, before=before.losses[name])
            for name, one in group_losses(NAMES.astype(object), losses).items()
        ]
        measured = Measured(
            window=Window(start=START, end=START + SPEC.window),
            version="1",
            source="made up",
            rows=SIZE,
            loss=sketch(losses),
            as_of=START,
            metrics={},
            estimates={},
            slices=slices,
        )
        return judge_performance(MODEL, measured, self.reference, spec=SPEC)

    def _by_chance(self, week: Weeks) -> Iterator[str]:
        quantile = per_test(SPEC.false_alarms, tests=SLICES)
        [before] = self.reference.slices
        losses = row_losses(Task.BINARY, week.scored)
        for name, one in group_losses(NAMES.astype(object), losses).items():
            if one.mean > before.losses[name].limit(one.rows, quantile=quantile):
                yield "slice_performance"
        known = {name: replace(one, windows=()) for name, one in self._answers.items()}
        now = profile_groups(
            before.grouping, week.shops["shop"], watched_answers(week.scored), known["s0"]
        )
        rule = DriftSpec(false_alarms=1 - quantile)
        for name, one in known.items():
            limits = self.by_chance.setdefault(name, Limits(one, rule))
            verdicts = judge_drift(one, now[name], spec=rule, limits=limits)
            if verdicts[0].outcome is Outcome.REFUSED:
                yield "slice_drift"

    @property
    def _answers(self) -> Mapping[str, TableProfile]:
        return self.reference.slice_answers["shop"]


def judge_of(past: Weeks) -> Judge:
    """Make what a training keeps of past weeks."""
    held = slice(-HELD_OUT * SIZE, None)
    newest = Weeks(past.share[held], past.truth[held])
    times = pa.array(np.repeat(pd.date_range(START, periods=PAST, freq="7D"), SIZE))
    every, answers = watched_answers(past.scored), watched_answers(newest.scored)
    profile = answers_profile(answers, every, event_times=times, window=SPEC.window)
    reference = answer_reference(
        Task.BINARY,
        newest.scored,
        metrics={},
        slices=newest.shops,
        features=pd.DataFrame(index=newest.shops.index),
        every=Every(
            scored=past.scored,
            held_out=np.arange(len(past.share)) >= (PAST - HELD_OUT) * SIZE,
            windows=number_windows(times, length=SPEC.window),
            slices=past.shops,
            answers=every,
        ),
        answers=(answers, replace(profile, windows=())),
    )
    whole = Limits(profile, DriftSpec(), apart=True)
    return Judge(reference, SlicesLimits(reference.slice_answers, whole=whole), {})


def measure(seeds: int, windows: int) -> Iterator[tuple[str, ...]]:
    """Give the share of windows with an alarm of any slice: wobble, rule, signal, and each change."""
    for wobble in WOBBLES:
        found: Counter[tuple[str, str, str]] = Counter()
        for seed in range(seeds):
            chance = np.random.default_rng([seed, int(wobble * 100)])
            judge = judge_of(weeks_of(PAST, chance, wobble=wobble, change=CHANGES[0]))
            for change in CHANGES:
                made = weeks_of(windows, chance, wobble=wobble, change=change)
                for at in range(windows):
                    own = slice(at * SIZE, (at + 1) * SIZE)
                    alarms = judge.alarms(Weeks(made.share[own], made.truth[own]))
                    found.update((change.name, *one) for one in alarms)
        for rule in (OURS, CHANCE):
            for signal in ("slice_performance", "slice_drift"):
                shares = (found[one.name, rule, signal] / seeds / windows for one in CHANGES)
                yield (f"{wobble:g}", rule, signal, *(f"{one:.3f}" for one in shares))


def main() -> None:
    """Measure and write the table."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--seeds", type=int, default=20)
    asked.add_argument("--windows", type=int, default=20)
    told = asked.parse_args()
    print(
        f"Share of windows with an alarm of any of {SLICES} slices of {PER_SLICE:,} rows; declared:"
    )
    print(f"{SPEC.false_alarms:.0%} of unchanged ones. {PAST} past windows, {HELD_OUT} held out.\n")
    names = " | ".join(one.name for one in CHANGES)
    print(f"| wobble | rule | signal | {names} |\n|---:|---|---|" + "---:|" * len(CHANGES))
    for cells in measure(told.seeds, told.windows):
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
