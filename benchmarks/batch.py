"""Batch scoring against the model's own `predict_proba` on a ready numpy matrix, and its memory.

Batch scoring is the step of the asset `predictions`: rows read from Delta, scored, and written to Delta
with an id, their inputs as JSON and a digest of both. The matrix holds the same rows encoded already, so
it is a floor, not a rival. `x predict` is against the model's own `predict` on a ready pandas frame: feature
code, encoders and estimator, and nothing read, named or written. `x plain` is against a script of fifteen
lines that does by hand what the step does: reads with Arrow, asks the same model, makes ids and digests
with hashlib and JSON with pandas, and appends to a Delta table, chunk after chunk.

All run in one process, in turn, three times; a process for each number of rows, whose peak memory is its
own. OpenMP has its default threads. The floor's two threads wait for one another after every tree, so it
is as fast as the slower core, and varies most: of each side the best of its times counts, and the floor's
range stands below. The table goes to docs/benchmarks/batch.md, whatever it says.

`BENCH_ROWS` (1000000,3000000,10000000) lists the numbers of rows.
"""

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import timedelta
from hashlib import md5
from pathlib import Path

import pandas as pd
import pyarrow as pa
from deltalake import write_deltalake

from benchmarks.serving_model import KEY, NAME, TARGET, TIME, register, rows
from benchmarks.written import machine, write

ROWS = [int(one) for one in os.environ.get("BENCH_ROWS", "1000000,3000000,10000000").split(",")]
FLOOR_TIMES = 6
TURNS = 3
CHUNK_ROWS = 65_536
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
    step_of, floor, predict, plain = [], [], [], []
    for turn in range(TURNS):
        floor.append(floor_of(model))
        step_of.append(timed(lambda: run(context, ServeSpec(), validated, join=alone), count))
        if not turn:
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        scored = bench.tables.latest(context.table("predictions")).ref.rows
        if scored != count:
            sys.exit(f"{scored} predictions of {count} rows")
        shutil.rmtree(bench.tables.uri(context.table("predictions")))
        floor.append(floor_of(model))
        predict.append(predict_of(model))
        if count == ROWS[0]:
            plain.append(timed(lambda: by_hand(bench.tables, model), count))
    print(
        json.dumps(
            {
                "rows": count,
                "step": min(step_of),
                "floor": min(floor),
                "floors": sorted(one for one, _ in floor),
                "predict": min(predict)[0],
                "plain": min(plain)[0] if plain else None,
                "before": before / 1024,
                "peak": peak / 1024,
            }
        )
    )


def alone(_, given, __):
    """Join nothing: the rows that wait have all columns."""
    return given


def by_hand(tables, model) -> None:
    """Score the same rows as a script would that keeps each answer with its id and its inputs."""
    with tempfile.TemporaryDirectory() as place:
        for batch in tables.dataset(GIVEN).to_batches(batch_size=CHUNK_ROWS):
            rows = batch.to_pandas()
            answer = model.predict(rows[model.inputs])
            texts = rows[model.inputs].to_json(orient="records", lines=True, date_format="iso")
            answer["inputs"] = texts.splitlines()
            answer["input_digest"] = [md5(text.encode()).hexdigest() for text in answer["inputs"]]
            named = NAME + "/" + rows[KEY]
            answer["prediction_id"] = [md5(one.encode()).hexdigest() for one in named]
            answer["model_version"], answer[KEY], answer[TIME] = "1", rows[KEY], rows[TIME]
            write_deltalake(place, pa.Table.from_pandas(answer), mode="append")


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
    """Seconds and CPU seconds that the estimator alone needs for a row of a matrix."""
    from mlops_dagster.scoring.artifact import estimator_input

    table = rows()
    encode, estimator = model.pipeline[0], model.pipeline[-1]
    features = model.features(table[model.inputs])
    matrix = encode.transform(estimator_input(features, model.artifact.texts))
    return timed(lambda: estimator.predict_proba(matrix), len(matrix), times=FLOOR_TIMES)


def predict_of(model) -> tuple[float, float]:
    """Seconds and CPU seconds that the model alone needs for a row of a frame."""
    inputs = rows()[model.inputs]
    return timed(lambda: model.predict(inputs), len(inputs), times=FLOOR_TIMES)


def timed(answer, count: int, *, times: int = 1) -> tuple[float, float]:
    """Answer `count` rows some times; give the seconds and CPU seconds of one row."""
    began, cpu = time.perf_counter(), time.process_time()
    for _ in range(times):
        answer()
    each = 1 / (count * times)
    return (time.perf_counter() - began) * each, (time.process_time() - cpu) * each


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
    head = ["rows", "rows/s", "x floor", "x predict", "x plain", "CPU us/row", "peak MiB"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for one in seen:
        seconds, cpu = one["step"]
        plain = f"{one['plain'] / seconds:.2f}" if one["plain"] else ""
        lines.append(
            f"| {one['rows']:,} | {1 / seconds:,.0f} | {one['floor'][0] / seconds:.2f} "
            f"| {one['predict'] / seconds:.2f} | {plain} | {cpu * 1e6:.1f} "
            f"| {one['peak']:.0f} ({one['before']:.0f} before) |"
        )
    first = seen[0]
    ratio = first["floor"][0] / first["step"][0]
    fastest, slowest = (1e6 * first["floors"][at] for at in (0, -1))
    grown = seen[-1]["peak"] / first["peak"]
    verdict = "held" if ratio >= HELD else "**missed**"
    held = [
        f"At {first['rows']:,} rows: {ratio:.2f} x the floor, wanted >= {HELD}: {verdict}.",
        f"The floor took {fastest:.2f} to {slowest:.2f} us a row, {first['floor'][1] * 1e6:.1f} of CPU.",
        f"The model's own predict on a ready frame is {first['floor'][0] / first['predict']:.2f} x it.",
        f"Peak memory at {seen[-1]['rows']:,} rows: {grown:.2f} x that at {first['rows']:,}.",
    ]
    write("batch", "Batch scoring", __doc__, [machine(), "", *held, "", *lines])


if __name__ == "__main__":
    if len(sys.argv) > 1:
        {"make": make, "side": side}[sys.argv[1]](int(sys.argv[2]))
    else:
        main()
