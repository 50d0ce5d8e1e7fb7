"""Drift over thirty columns: this package beside Evidently and NannyML, on the same Parquet files.

`make bench-drift`. Each side is a process of its own, its peers in environments of their own (made once
in BENCH_CACHE, pandas < 3), and the sides take turns. Ratios are of CPU seconds of whole processes,
imports included, since machines are shared; wall seconds stand beside them.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from scipy.stats import ks_2samp, wasserstein_distance

from benchmarks.alarms_rows import QUIET, Drift, rows_of

ROOT = Path(__file__).resolve().parent.parent
CACHE = Path(os.environ.get("BENCH_CACHE", Path.home() / ".cache" / "mlops-dagster" / "bench"))
PEERS = {
    "evidently": ("evidently==0.7.23", "pandas<3", "pyarrow"),
    "nannyml": ("nannyml==0.13.1", "pandas<3", "statsmodels", "pyarrow"),
}
PART = 1_000_000
OURS = "ours"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Row counts, and which sides take how many turns."""

    reference: int
    current: int
    turns: dict[str, int]


CASES = (
    Case(reference=100_000, current=100_000, turns={OURS: 3, "evidently": 3, "nannyml": 3}),
    Case(reference=1_000_000, current=1_000_000, turns={OURS: 3, "evidently": 1, "nannyml": 2}),
    Case(reference=1_000_000, current=10_000_000, turns={OURS: 1}),
)


def rows_file(rows: int, *, seed: int, drift: Drift) -> Path:
    """Make a file of rows once, a million at a time."""
    path = CACHE / f"rows-{rows}-{seed}.parquet"
    if path.exists():
        return path
    CACHE.mkdir(parents=True, exist_ok=True)
    chance = np.random.default_rng(seed)
    fresh = path.with_suffix(".new")
    left, writer = rows, None
    while left:
        part = rows_of(1, min(left, PART), chance, wobble=False, drift=drift)
        writer = writer or pq.ParquetWriter(fresh, part.schema, compression="zstd")
        writer.write_table(part, row_group_size=100_000)
        left -= part.num_rows
    if writer:
        writer.close()
    fresh.replace(path)
    return path


def python_of(side: str) -> list[str]:
    """Give the command that runs a side; a peer's environment is made when it is not there."""
    if side == OURS:
        return [sys.executable, "-m", "benchmarks.drift_ours"]
    home = CACHE / side
    python = home / "bin" / "python"
    if not (home / "ready").exists():
        print(f"Installing {side} into {home} (minutes, once) ...", flush=True)
        venv.create(home, with_pip=True, clear=True)
        install = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        subprocess.run([*install, *PEERS[side]], check=True)
        (home / "ready").touch()
    return [str(python), str(ROOT / "benchmarks" / f"drift_{side}.py")]


def run_side(side: str, reference: Path, current: Path) -> dict[str, Any]:
    """Run one side once."""
    done = subprocess.run(
        [*python_of(side), str(reference), str(current)],
        env={**os.environ, "NML_DISABLE_USAGE_LOGGING": "1", "DO_NOT_TRACK": "1"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{side} failed:\n{done.stderr[-4000:]}")
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def measure(case: Case) -> dict[str, list[dict[str, Any]]]:
    """Let the sides take turns."""
    before = rows_file(case.reference, seed=1, drift=QUIET)
    now = rows_file(case.current, seed=2, drift=Drift(name="+0.1 sd", shift=0.1))
    found: dict[str, list[dict[str, Any]]] = {side: [] for side in case.turns}
    for turn in range(max(case.turns.values())):
        for side, turns in case.turns.items():
            if turn < turns:
                found[side].append(run_side(side, before, now))
    return found


def show(case: Case, found: dict[str, list[dict[str, Any]]]) -> None:
    """Print one case as rows of the table."""
    ours = median(found[OURS], "cpu_s")
    for side, runs in found.items():
        cpu = median(runs, "cpu_s")
        print(
            f"| {case.reference:,} x {case.current:,} | {side} | {len(runs)} | {cpu:.2f} "
            f"| {median(runs, 'total_s'):.2f} | {median(runs, 'import_s'):.2f} "
            f"| {median(runs, 'peak_mib'):,.0f} | {cpu / ours:.1f} |",
            flush=True,
        )


def median(runs: list[dict[str, Any]], what: str) -> float:
    """Take the middle of several turns."""
    return statistics.median(run[what] for run in runs)


def parity(case: Case, found: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Hold distances against the peers' own and, of numbers, against the exact ones of scipy."""
    ours = found[OURS][0]
    labels = [name for name in ours["values"] if name.startswith("c")]
    numbers = [name for name in ours["values"] if name.startswith("n") and ":" not in name]
    told = []
    for side, base in (("evidently", math.e), ("nannyml", 2.0)):
        theirs = found[side][0]["values"]
        worst = max(
            abs(ours["values"][one] - theirs[one] * math.sqrt(math.log(base))) for one in labels
        )
        told.append(f"Jensen-Shannon of {len(labels)} columns of labels, {side}: {worst:.1e}")
    before, now = (
        pq.read_table(rows_file(rows, seed=seed, drift=QUIET), columns=numbers)
        for rows, seed in ((case.reference, 1), (case.current, 2))
    )
    moved, gaps = [], []
    for name in numbers:
        a, b = (one[name].drop_null().to_numpy() for one in (before, now))
        # Ours is in the spread between the outermost edges, which one row cannot stretch.
        exact = wasserstein_distance(a, b) / ours["spread"][name]
        moved.append(abs(ours["values"][name] - exact))
        gaps.append(abs(ours["ks"][name] - ks_2samp(a, b, method="asymp").statistic))
    told.append(f"binned W1 of {len(numbers)} columns of numbers, exact: {max(moved):.4f} sd")
    told.append(f"binned KS of {len(numbers)} columns of numbers, exact: {max(gaps):.5f}")
    return told


def main() -> None:
    """Measure, and print the table and how far distances are apart."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--cases", type=int, nargs="+", default=range(len(CASES)))
    chosen = [CASES[one] for one in asked.parse_args().cases]
    print("| reference x current | side | runs | CPU s | wall s | import s | peak MiB | x ours |")
    print("|---|---|---:|---:|---:|---:|---:|---:|", flush=True)
    for case in chosen:
        found = measure(case)
        show(case, found)
        if case is CASES[0]:
            differences = parity(case, found)
    if CASES[0] in chosen:
        print("\nLargest differences:\n" + "\n".join(f"- {one}" for one in differences))


if __name__ == "__main__":
    main()
