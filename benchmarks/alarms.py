"""How often an alarm is false, and how often it sees what is there: this package beside its peers' rules.

`make bench-alarms`. Every window is judged by the code that `monitor` uses. The peers' default rules are
written out here, since hundreds of runs of theirs take hours; `make bench-drift` holds their numbers
against their own packages.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from benchmarks.alarms_peers import PEERS, Sides
from benchmarks.alarms_rows import DRIFTS, QUIET, Drift, rows_of
from mlops_dagster.monitor.drift import judge_drift
from mlops_dagster.monitor.limits import Limits
from mlops_dagster.monitor.spec import DriftSpec
from mlops_dagster.profiles.columns import TableProfile
from mlops_dagster.profiles.tables import profile_of, profile_windows
from mlops_dagster.records import Outcome

SIZES = (300, 1_000, 10_000)
REFERENCE_WINDOWS = 40
OURS = "mlops-dagster"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One row of the table: a rule's share of windows with an alarm in any column."""

    rule: str
    size: int
    wobble: bool
    seed: int
    drift: str
    alarms: int
    windows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is measured."""

    windows: int
    peer_windows: int
    sizes: tuple[int, ...]
    seeds: tuple[int, ...]


def measure(plan: Plan) -> Iterator[Cell]:
    """Go through sizes, wobble and seeds; the reference is drawn anew for each."""
    for size in plan.sizes:
        for wobble in (False, True):
            for seed in plan.seeds:
                began = time.perf_counter()
                yield from _measure_one(plan, size, seed, wobble=wobble)
                took = time.perf_counter() - began
                print(f"n={size} wobble={wobble} seed={seed}: {took:.0f} s", flush=True)


def _measure_one(plan: Plan, size: int, seed: int, *, wobble: bool) -> Iterator[Cell]:
    chance = np.random.default_rng([seed, size, wobble])
    past = rows_of(REFERENCE_WINDOWS, size, chance, wobble=wobble)
    numbers = pa.array(np.repeat(np.arange(REFERENCE_WINDOWS), size))
    whole = profile_of(past)
    cut = profile_windows(past, window_of=numbers, edges_from=whole)
    reference = replace(whole, windows=tuple(cut.values()))
    limits = Limits(reference, DriftSpec())
    for drift in (QUIET, *DRIFTS):
        rows = rows_of(plan.windows, size, chance, wobble=wobble, drift=drift)
        told = {"size": size, "wobble": wobble, "seed": seed, "drift": drift.name}
        alarms = _our_alarms(reference, limits, rows, size)
        yield Cell(rule=OURS, alarms=alarms, windows=plan.windows, **told)
        sides = Sides(past, rows, size=size, windows=min(plan.windows, plan.peer_windows))
        for rule, found in PEERS.items():
            yield Cell(rule=rule, alarms=found(sides), windows=sides.windows, **told)


def _our_alarms(reference: TableProfile, limits: Limits, rows: pa.Table, size: int) -> int:
    numbers = pa.array(np.arange(rows.num_rows) // size)
    windows = profile_windows(rows, window_of=numbers, edges_from=reference)
    return sum(_alarms(reference, one, limits) for one in windows.values())


def _alarms(reference: TableProfile, window: TableProfile, limits: Limits) -> bool:
    verdicts = judge_drift(reference, window, spec=DriftSpec(), limits=limits)
    return any(one.outcome is Outcome.REFUSED for one in verdicts)


def table(cells: list[Cell], drifts: tuple[Drift, ...] = (QUIET, *DRIFTS)) -> str:
    """Write shares over all seeds, and of false alarms the worst seed's."""
    columns = [(wobble, drift.name) for wobble in (False, True) for drift in drifts]
    head = [f"{'wobble: ' if wobble else ''}{name}" for wobble, name in columns]
    lines = ["| rule | n | " + " | ".join(head) + " |", "|---|---:|" + "---:|" * len(head)]
    for rule in dict.fromkeys(one.rule for one in cells):
        for size in sorted({one.size for one in cells}):
            mine = [one for one in cells if one.rule == rule and one.size == size]
            shares = [_share(mine, wobble=wobble, drift=name) for wobble, name in columns]
            lines.append(f"| {rule} | {size:,} | " + " | ".join(shares) + " |")
    return "\n".join(lines)


def _share(cells: list[Cell], *, wobble: bool, drift: str) -> str:
    chosen = [one for one in cells if one.wobble == wobble and one.drift == drift]
    share = sum(one.alarms for one in chosen) / max(sum(one.windows for one in chosen), 1)
    worst = max((one.alarms / one.windows for one in chosen), default=0.0)
    return f"{share:.3f} ({worst:.3f})" if drift == QUIET.name else f"{share:.3f}"


def missed(cells: list[Cell]) -> list[str]:
    """List the targets that were missed, over all seeds together."""

    def share(match: Callable[[Cell], bool]) -> float:
        chosen = [one for one in cells if one.rule == OURS and match(one)]
        return sum(one.alarms for one in chosen) / max(sum(one.windows for one in chosen), 1)

    found = []
    for size in sorted({one.size for one in cells}):
        for wobble, most in ((False, 0.02), (True, 0.05)):
            false = share(
                lambda one, size=size, wobble=wobble: (
                    one.size == size and one.wobble == wobble and one.drift == QUIET.name
                )
            )
            if false > most:
                found.append(
                    f"false alarms at n={size}, wobble={wobble}: {false:.3f} (most {most})"
                )
    for drift in DRIFTS:
        power = share(
            lambda one, name=drift.name: one.size == 1_000 and not one.wobble and one.drift == name
        )
        if power < 0.95:
            found.append(f"power for {drift.name} at n=1,000: {power:.3f} (least 0.95)")
    return found


def main() -> None:
    """Measure, write the table, and say which targets were missed."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--windows", type=int, default=200)
    asked.add_argument("--peer-windows", type=int, default=60)
    asked.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    asked.add_argument("--seeds", type=int, nargs="+", default=(1, 2, 3))
    told = asked.parse_args()
    plan = Plan(
        windows=told.windows,
        peer_windows=told.peer_windows,
        sizes=tuple(told.sizes),
        seeds=tuple(told.seeds),
    )
    cells = []
    for cell in measure(plan):
        cells.append(cell)
        print(f"  {cell}", flush=True)
    print(f"\nShare of windows with an alarm in any of 30 columns; {REFERENCE_WINDOWS} reference")
    print("windows; in brackets the worst of the seeds.\n")
    print(table(cells))
    for sentence in missed(cells):
        print(f"MISSED: {sentence}")


if __name__ == "__main__":
    main()
