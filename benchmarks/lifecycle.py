"""One lifecycle run on January to March against a plain script of the same steps, in CPU seconds.

Once the plain script is one Dagster job of nine assets, as one writes it by hand.
The proof is that a process of its own can score with the registered model, which a lifecycle run gives for
each version. The floor is what Dagster and MLflow cost by themselves: nine assets that do nothing and one
lookup.
Each run is a process of its own; CPU is user + system of it and its children. Both sides write to an
MLflow database that exists already. Medians and ratios; nothing else should run beside it.
"""

import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RUNS = int(os.environ.get("BENCH_RUNS", "3"))
SIDES = (
    ("plain script", "plain"),
    ("the same in Dagster", "by_hand"),
    ("plain script with proof", "proved"),
    ("floor: Dagster and MLflow", "floor"),
    ("lifecycle run", "run"),
    ("unchanged second run", "run"),
)


def cpu_of(command: list[str], environment: dict[str, str]) -> tuple[float, float]:
    """Run a command; give its CPU seconds and its peak memory in MiB."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        command,
        env={**os.environ, **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, after.ru_maxrss / 1024


def home_with_database(folder: Path) -> dict[str, str]:
    """Make an empty home whose MLflow database is there, as on any day but the first."""
    dagster_home = folder / "dagster"
    dagster_home.mkdir(parents=True)
    (dagster_home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    (folder / "clock").write_text("2013-04-03T06:00:00+00:00")
    environment = {
        "MLOPS_HOME": str(folder),
        "DAGSTER_HOME": str(dagster_home),
        "MLOPS_CLOCK": f"replay:{folder}/clock",
        "OMP_NUM_THREADS": "2",
    }
    cpu_of([sys.executable, "-m", "benchmarks.lifecycle_side", "prepare"], environment)
    return environment


def main() -> None:
    """Measure and print the table."""
    rows: dict[str, list[float]] = {name: [] for name, _ in SIDES}
    peaks: dict[str, float] = {}
    for _ in range(RUNS):
        with tempfile.TemporaryDirectory() as folder:
            for name, side in SIDES:
                if name != "unchanged second run":
                    shutil.rmtree(Path(folder) / "home", ignore_errors=True)
                    environment = home_with_database(Path(folder) / "home")
                seconds, peak = cpu_of(
                    [sys.executable, "-m", "benchmarks.lifecycle_side", side], environment
                )
                rows[name].append(seconds)
                peaks[name] = peak
    plain, by_hand = (statistics.median(rows[name]) for name, _ in SIDES[:2])
    print(
        f"{'':26}{'CPU s (median)':>16}{'all':>28}{'x plain':>9}{'x Dagster':>11}"
        f"{'peak MiB (of all so far)':>26}"
    )
    for name, seconds in rows.items():
        median = statistics.median(seconds)
        listed = " ".join(f"{one:.1f}" for one in seconds)
        print(
            f"{name:26}{median:16.2f}{listed:>28}{median / plain:9.2f}{median / by_hand:11.2f}"
            f"{peaks[name]:26.0f}"
        )
    print("budgets: lifecycle run <= 1.20 x plain; unchanged second run <= 3.5 CPU s")


if __name__ == "__main__":
    main()
