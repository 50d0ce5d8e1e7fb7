"""How often an alarm on labelled loss is false, and how often it sees labels that turned round.

Every window is judged by the limit that `monitor` uses. NannyML's rule beside it, written out: a chunk's metric
beyond three standard deviations of the reference's chunks of as many rows.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from mlops_dagster.declaration import Task
from mlops_dagster.metrics.losses import row_losses, sketch
from mlops_dagster.metrics.quality import Scored
from mlops_dagster.monitor.measured import limit_of
from mlops_dagster.monitor.spec import PerformanceSpec

HELD_OUT = 20_000
SIZES = (200, 500, 1_000, 5_000)
FLIPPED = (0.0, 0.1, 0.3)
QUANTILE = 1 - PerformanceSpec().false_alarms


def losses_of(rows: int, chance: np.random.Generator, *, flipped: float = 0.0) -> np.ndarray:
    """Measure answers that know their probabilities; a share of the labels is turned round."""
    likely = 1 / (1 + np.exp(-1.5 * chance.normal(size=rows)))
    truth = (chance.random(rows) < likely) ^ (chance.random(rows) < flipped)
    scored = Scored(
        y_true=truth.astype(int),
        y_pred=(likely >= 0.5).astype(int),
        probability=likely,
        labels=(0, 1),
    )
    return row_losses(Task.BINARY, scored)


def ours(reference: np.ndarray, rows: int) -> float:
    """Tell the loss that this package alarms above."""
    limit, _ = limit_of(sketch(reference), rows, quantile=QUANTILE)
    return limit


def nannyml(reference: np.ndarray, rows: int) -> float:
    """Tell the loss that NannyML alarms above."""
    chunks = reference[: len(reference) // rows * rows].reshape(-1, rows).mean(axis=1)
    return float(chunks.mean() + 3 * chunks.std())


RULES: dict[str, Callable[[np.ndarray, int], float]] = {"mlops-dagster": ours, "NannyML": nannyml}


def measure(rows: int, *, windows: int, seeds: Sequence[int]) -> Iterator[tuple[str, list[float]]]:
    """Give each rule's share of windows with an alarm, for each share of labels turned round."""
    shares = {rule: np.zeros((len(FLIPPED), len(seeds))) for rule in RULES}
    for at, seed in enumerate(seeds):
        chance = np.random.default_rng(seed)
        reference = losses_of(HELD_OUT, chance)
        limits = {rule: limit(reference, rows) for rule, limit in RULES.items()}
        for place, flipped in enumerate(FLIPPED):
            means = [losses_of(rows, chance, flipped=flipped).mean() for _ in range(windows)]
            for rule, limit in limits.items():
                shares[rule][place, at] = np.mean(np.array(means) > limit)
    for rule, found in shares.items():
        yield rule, [*found.mean(axis=1), found[0].max()]


def main() -> None:
    """Measure and print the table."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--windows", type=int, default=200)
    asked.add_argument("--seeds", type=int, nargs="+", default=(1, 2, 3))
    told = asked.parse_args()
    print(f"\nShare of windows with an alarm on labelled loss; {HELD_OUT:,} rows held out;")
    print("in brackets the worst of the seeds.\n")
    print("| rule | labels | quiet | 10 % flipped | 30 % flipped |")
    print("|---|---:|---:|---:|---:|")
    for rows in SIZES:
        for rule, (quiet, few, many, worst) in measure(
            rows, windows=told.windows, seeds=told.seeds
        ):
            print(f"| {rule} | {rows:,} | {quiet:.3f} ({worst:.3f}) | {few:.3f} | {many:.3f} |")


if __name__ == "__main__":
    main()
