"""Batch scoring against the model's own `predict_proba` on a ready numpy matrix, and its memory.

Batch scoring is the step of the asset `predictions`: rows read from Delta, scored, and written to Delta
with an id, their inputs as JSON and a digest of both. The matrix holds the same rows encoded already, so
it is a floor, not a rival. `x predict` is against the model's own `predict` on a ready pandas frame: feature
code, encoders and estimator, and nothing read, named or written. All run in one process, the others before
and after; a process for each number of rows, whose peak memory is its own. OpenMP has its default threads.
The table goes to docs/benchmarks/batch.md, whatever it says.

`BENCH_ROWS` (1000000,3000000,10000000) lists the numbers of rows.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pandas as pd

from benchmarks.serving_model import KEY, NAME, TARGET, TIME, register, rows
from benchmarks.written import machine, write

ROWS = [int(one) for one in os.environ.get("BENCH_ROWS", "1000000,3000000,10000000").split(",")]
FLOOR_ROWS = 1_000_000
HELD = 0.6
GIVEN = f"{NAME}/all/validated_data"


def waiting(count: int) -> Iterator[pd.DataFrame]:
    """Make rows that wait: the flights again and again, each time a quarter later."""
    table, made, at = rows().assign(**{TARGET: None}), 0, 0
    table[TARGET] = table[TARGET].astype("float64")
    while made < count:
        part = table.head(count - made)
        later = part[TIME] + at * timedelta(days=91)
        yield part.assign(**{TIME: later, KEY: part[KEY] + f"-{at}", "_batch": at})
        made, at = made + len(part), at + 1


def make(count: int) -> None:
    """Write the rows that wait, in a process whose memory is not the one that is read."""
    import pyarrow as pa

    for part in waiting(count):
        step().bench.tables.append(GIVEN, pa.Table.from_pandas(part, preserve_index=False))


def side(count: int) -> None:
    """Score `count` rows in this process, and say what it took."""
    from mlops_dagster.records import Snapshot
    from mlops_dagster.scoring.loader import load_verified
    from mlops_dagster.serve.run import run
    from mlops_dagster.serve.spec import ServeSpec
    from mlops_dagster.stores.registry import CHAMPION

    context = step()
    bench = context.bench
    table = bench.tables.latest(GIVEN)
    model = load_verified(bench.registry, bench.registry.by_alias(NAME, CHAMPION))
    validated = Snapshot(
        **context.stamp(),
        data_version=table.ref.digest,
        table=table.ref,
        new_rows=count,
        through=1,
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    floor, plain = [floor_of(model)], [predict_of(model)]
    began, cpu = time.perf_counter(), time.process_time()
    run(context, ServeSpec(), validated, join=lambda _, given, __: given)
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    floor.append(floor_of(model))
    plain.append(predict_of(model))
    scored = bench.tables.latest(context.table("predictions")).ref.rows
    if scored != count:
        sys.exit(f"{scored} predictions of {count} rows")
    print(
        json.dumps(
            {
                "rows": count,
                "seconds": seconds,
                "cpu": cpu,
                "floor": sum(one for one, _ in floor) / 2,
                "floor_cpu": sum(one for _, one in floor) / 2,
                "predict": sum(plain) / 2,
                "before": before / 1024,
                "peak": peak / 1024,
            }
        )
    )


def step():
    """The step's context: the model, the stores of MLOPS_HOME."""
    import logging

    from mlops_dagster.declaration import ModelIdentity, Task
    from mlops_dagster.workbench import StepContext, workbench_from_environment

    model = ModelIdentity(name=NAME, task=Task.BINARY, target=TARGET, key=(KEY,), event_time=TIME)
    return StepContext(
        model=model,
        bench=workbench_from_environment(),
        run_id="run",
        root_run_id="run",
        noun="predictions",
        log=logging.getLogger("bench"),
    )


def floor_of(model) -> tuple[float, float]:
    """Seconds and CPU seconds that the estimator alone needs for a million rows, in chunks."""
    from mlops_dagster.scoring.artifact import estimator_input

    table = rows()
    encode, estimator = model.pipeline[0], model.pipeline[-1]
    features = model.features(table[model.inputs])
    matrix = encode.transform(estimator_input(features, model.artifact.texts))
    return timed(lambda: estimator.predict_proba(matrix))


def predict_of(model) -> float:
    """Seconds that the model alone needs for a million rows of a frame, in chunks."""
    inputs = rows()[model.inputs]
    return timed(lambda: model.predict(inputs))[0]


def timed(answer) -> tuple[float, float]:
    """Ask until a million rows are answered; give the seconds and CPU seconds of a million."""
    done, began, cpu = 0, time.perf_counter(), time.process_time()
    while done < FLOOR_ROWS:
        done += len(answer())
    return (
        (time.perf_counter() - began) * FLOOR_ROWS / done,
        (time.process_time() - cpu) * FLOOR_ROWS / done,
    )


def in_process(what: str, count: int, home: str) -> str:
    """Do one part in a process of its own; give what it said."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.batch", what, str(count)],
        env={**os.environ, "MLOPS_HOME": home, "MLOPS_CLOCK": "wall"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{what} {count} failed:\n{done.stderr[-3000:]}")
    return done.stdout


def main() -> None:
    """Measure each number of rows in a process, print, and write the page."""
    seen = []
    for count in ROWS:
        with tempfile.TemporaryDirectory() as place:
            register(Path(place))
            in_process("make", count, place)
            told = in_process("side", count, place)
        seen.append(json.loads(told))
        print(f"{count:,} rows done", file=sys.stderr, flush=True)
    head = ["rows", "rows/s", "x floor", "x predict", "CPU us/row", "floor CPU us/row", "peak MiB"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for one in seen:
        per_second, floor = one["rows"] / one["seconds"], FLOOR_ROWS / one["floor"]
        lines.append(
            f"| {one['rows']:,} | {per_second:,.0f} | {per_second / floor:.2f} "
            f"| {per_second * one['predict'] / FLOOR_ROWS:.2f} "
            f"| {one['cpu'] / one['rows'] * 1e6:.1f} | {one['floor_cpu'] / FLOOR_ROWS * 1e6:.1f} "
            f"| {one['peak']:.0f} ({one['before']:.0f} before) |"
        )
    ratio = seen[0]["rows"] / seen[0]["seconds"] / (FLOOR_ROWS / seen[0]["floor"])
    own = seen[0]["floor"] / seen[0]["predict"]
    grown = seen[-1]["peak"] / seen[0]["peak"]
    verdict = "held" if ratio >= HELD else "**missed**"
    held = [
        f"At {seen[0]['rows']:,} rows: {ratio:.2f} x the floor, wanted >= {HELD}: {verdict}.",
        f"The model's own predict on a ready frame, and nothing else, is {own:.2f} x the floor.",
        f"Peak memory at {seen[-1]['rows']:,} rows: {grown:.2f} x that at {seen[0]['rows']:,}.",
    ]
    write("batch", "Batch scoring", __doc__, [machine(), "", *held, "", *lines])


if __name__ == "__main__":
    if len(sys.argv) > 1:
        {"make": make, "side": side}[sys.argv[1]](int(sys.argv[2]))
    else:
        main()
