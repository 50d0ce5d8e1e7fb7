"""The endpoint with its durable log against `mlflow models serve`, the same model in the same run.

Three servers stand side by side: ours with `fsync`, ours without a log, MLflow's. They are asked in
turn, round after round, with the same bytes from the same client; figures are medians over the rounds.
Each has one OpenMP thread, which is MLflow's better setting too. CPU is the server's own time for one
request, which other work on the machine changes least. Memory is the sum over a server's
processes, read after the load. The table goes to docs/benchmarks/serve.md, whatever it says.

`BENCH_ROUNDS` (5), `BENCH_SECONDS` (2) and `BENCH_STARTS` (3) make it longer or shorter.
"""

import json
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.processes import cpu_of, memory_of
from benchmarks.serving_model import NAME, register
from benchmarks.written import machine, write
from mlops_dagster.scoring.example import read_example
from mlops_dagster.serve.load_test.client import Plan, Window, drive
from mlops_dagster.serve.load_test.started import Started, ask, started

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
SECONDS = float(os.environ.get("BENCH_SECONDS", "2"))
STARTS = int(os.environ.get("BENCH_STARTS", "3"))
CLIENTS, ROWS = (1, 8, 32), (1, 100)
OURS, NO_LOG, MLFLOW = "ours", "ours, no log", "mlflow"
Cell = tuple[int, int]


@dataclass
class Seen:
    """What was measured of one server."""

    windows: dict[Cell, list[Window]] = field(default_factory=dict)
    cpu_ms: dict[Cell, list[float]] = field(default_factory=dict)
    starts: list[float] = field(default_factory=list)
    start_cpu: list[float] = field(default_factory=list)
    rss: float = 0.0
    pss: float = 0.0

    def start(self, server: Started) -> None:
        self.starts.append(server.cold_start_s)
        self.start_cpu.append(cpu_of(server.pid))

    def per_second(self, cell: Cell) -> float:
        return statistics.median(one.per_second for one in self.windows[cell])

    def p50(self, cell: Cell) -> float:
        return statistics.median(one.p50_ms for one in self.windows[cell])

    def p99(self, cell: Cell) -> float:
        return statistics.median(one.p99_ms for one in self.windows[cell])

    def cpu(self, cell: Cell) -> float:
        return statistics.median(self.cpu_ms[cell])

    def errors(self, cell: Cell) -> int:
        return sum(sum(one.errors.values()) for one in self.windows[cell])


def commands(folder: Path) -> Mapping[str, Callable[[int], list[str]]]:
    """How each server is started at a port."""
    serve = [sys.executable, "-m", "mlops_dagster.cli.main", "serve", NAME]
    mlflow = [str(Path(sys.executable).with_name("mlflow")), "models", "serve", "-m", str(folder)]
    return {
        OURS: lambda port: [*serve, "--port", str(port)],
        NO_LOG: lambda port: [*serve, "--port", str(port), "--durability", "none"],
        MLFLOW: lambda port: [
            *mlflow, "--env-manager", "local", "--host", "127.0.0.1", "--port", str(port)
        ],
    }  # fmt: skip


def bodies(folder: Path) -> dict[int, str]:
    """Requests of MLflow's protocol, which both answer."""
    example = read_example(folder).inputs
    names = list(example[0])
    lines = [[row[name] for name in names] for row in example]
    return {
        rows: json.dumps({"dataframe_split": {"columns": names, "data": (lines * rows)[:rows]}})
        for rows in ROWS
    }


def measure(folder: Path, environment: Mapping[str, str]) -> dict[str, Seen]:
    """Start every server a few times, then ask them in turn."""
    body, made = bodies(folder), commands(folder)
    seen = {name: Seen() for name in made}

    def answers(url: str) -> bool:
        return ask(f"{url}/invocations", body=body[1])[0] == 200

    for _ in range(STARTS - 1):
        for name in (OURS, MLFLOW):
            with started(made[name], answers=answers, environment=environment) as server:
                seen[name].start(server)
    with ExitStack() as stack:
        servers = {
            name: stack.enter_context(started(command, answers=answers, environment=environment))
            for name, command in made.items()
        }
        for name, server in servers.items():
            seen[name].start(server)
        for at in range(ROUNDS):
            one_round(servers, seen, body)
            print(f"round {at + 1} of {ROUNDS} done", file=sys.stderr, flush=True)
        for name, server in servers.items():
            seen[name].rss, seen[name].pss = memory_of(server.pid)
    return seen


def one_round(
    servers: Mapping[str, Started], seen: Mapping[str, Seen], body: Mapping[int, str]
) -> None:
    """Ask each server once in each cell; within a cell one directly after the other."""
    for rows in ROWS:
        for clients in CLIENTS:
            for name, server in servers.items():
                plan = Plan(
                    url=f"{server.url}/invocations",
                    body=body[rows],
                    clients=clients,
                    seconds=SECONDS,
                )
                before = cpu_of(server.pid)
                window = drive(plan)
                spent = cpu_of(server.pid) - before
                one, cell = seen[name], (rows, clients)
                one.windows.setdefault(cell, []).append(window)
                one.cpu_ms.setdefault(cell, []).append(1000 * spent / window.handled)


def table(seen: Mapping[str, Seen]) -> list[str]:
    """The figures, a line a cell and server."""
    names = (
        "rows clients server requests/s p50_ms p99_ms CPU_ms x_mlflow p50/mlflow CPU/mlflow errors"
    )
    head = names.split()
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for cell in seen[OURS].windows:
        for name, one in seen.items():
            other = seen[MLFLOW]
            lines.append(
                f"| {cell[0]} | {cell[1]} | {name} | {one.per_second(cell):,.0f} | {one.p50(cell):.2f} "
                f"| {one.p99(cell):.2f} | {one.cpu(cell):.2f} | {one.per_second(cell) / other.per_second(cell):.2f} "
                f"| {one.p50(cell) / other.p50(cell):.2f} | {one.cpu(cell) / other.cpu(cell):.2f} | {one.errors(cell)} |"
            )
    return lines


def targets(seen: Mapping[str, Seen]) -> list[str]:
    """What was aimed at, and what came out."""
    ours, none, mlflow = seen[OURS], seen[NO_LOG], seen[MLFLOW]
    start, other = statistics.median(ours.starts), statistics.median(mlflow.starts)
    cost = 1 - ours.per_second((1, 32)) / none.per_second((1, 32))
    held: Sequence[tuple[str, float, str, float, bool]] = [
        ("requests/s at 32 clients, 1 row, x mlflow",
         r := ours.per_second((1, 32)) / mlflow.per_second((1, 32)), ">=", 10, r >= 10),
        ("requests/s at 8 clients, 1 row, x mlflow",
         r := ours.per_second((1, 8)) / mlflow.per_second((1, 8)), ">=", 4, r >= 4),
        ("median ms at one client, 1 row, / mlflow",
         r := ours.p50((1, 1)) / mlflow.p50((1, 1)), "<=", 0.85, r <= 0.85),
        ("memory, MiB RSS", ours.rss, "<=", 400, ours.rss <= 400),
        ("cold start, / mlflow", r := start / other, "<=", 0.75, r <= 0.75),
        ("cost of the durable log at 32 clients, 1 row", cost, "<=", 0.35, cost <= 0.35),
    ]  # fmt: skip
    return [
        "| target | seen | wanted | |",
        "|---|---|---|---|",
        *(
            f"| {name} | {value:.2f} | {sign} {limit:g} | {'held' if good else '**missed**'} |"
            for name, value, sign, limit, good in held
        ),
    ]


def main() -> None:
    """Measure, print, and write the page."""
    with tempfile.TemporaryDirectory() as place:
        home = Path(place)
        environment = {"MLOPS_HOME": place, "MLOPS_CLOCK": "wall", "OMP_NUM_THREADS": "1"}
        seen = measure(register(home), environment)
    sides = [
        "| server | cold start s (median, all) | its CPU s | RSS MiB | PSS MiB |",
        "|---|---|---|---|---|",
        *(
            f"| {name} | {statistics.median(one.starts):.1f} "
            f"({', '.join(f'{s:.1f}' for s in one.starts)}) | "
            f"{statistics.median(one.start_cpu):.1f} | {one.rss:.0f} | {one.pss:.0f} |"
            for name, one in seen.items()
        ),
    ]
    write(
        "serve",
        "The endpoint against `mlflow models serve`",
        __doc__,
        [
            f"{machine()} {ROUNDS} rounds of {SECONDS:g} s in each cell.",
            *busy_client(seen),
            *("", *targets(seen), "", *sides, "", *table(seen)),
        ],
    )


def busy_client(seen: Mapping[str, Seen]) -> list[str]:
    """Name the cells in which the client, not the server, was measured."""
    busy = [
        f"{name} {rows} x {clients}"
        for name, one in seen.items()
        for (rows, clients), windows in one.windows.items()
        if any(window.client_was_the_limit for window in windows)
    ]
    return [f"The client needed a whole core in: {', '.join(busy)}."] if busy else []


if __name__ == "__main__":
    main()
