"""What a load test says: a table, a JSON file, a picture."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from mlops_dagster.clock import wall_now
from mlops_dagster.serve.load_test.client import BUSY
from mlops_dagster.serve.load_test.run import Level, LoadReport

BLUE, GREY, RED = "#1f6feb", "#8a8f98", "#c4432b"
HEADER = (
    f"{'clients':>7} {'rows':>5} {'requests/s':>11} {'rows/s':>9} "
    f"{'p50 ms':>8} {'p95 ms':>8} {'p99 ms':>8} {'errors':>7}"
)


def line(level: Level) -> str:
    """Write one line of the table."""
    seen = level.window
    mark = f"  the client needed {seen.cpu:.0%} of a core" if seen.client_was_the_limit else ""
    return (
        f"{level.clients:7} {level.rows:5} {seen.per_second:11,.0f} {level.rows_per_second:9,.0f} "
        f"{seen.p50_ms:8.2f} {seen.p95_ms:8.2f} {seen.p99_ms:8.2f} "
        f"{sum(seen.errors.values()):7}{mark}"
    )


def closing(report: LoadReport) -> Iterator[str]:
    """Say what the table does not."""
    largest = report.largest
    yield (
        f"largest batch: {largest.rows:,} rows in {largest.seconds:.2f} s (more: {largest.because})"
    )
    if report.cold_start_s is not None:
        yield f"cold start: {report.cold_start_s:.1f} s from start to the first answer"
    for level in report.levels:
        for why, count in level.window.errors.items():
            yield f"{level.clients} clients, {level.rows} rows: {count} times {why}"
    if any(level.window.client_was_the_limit for level in report.levels):
        yield (
            f"Where the client needed {BUSY:.0%} of a core and more it was the limit: "
            "the endpoint can answer more than the line says."
        )


def keep(report: LoadReport, folder: Path) -> tuple[Path, Path]:
    """Write the figures as JSON and as a picture; give both files."""
    at = wall_now()
    folder.mkdir(parents=True, exist_ok=True)
    figures = folder / f"{at:%Y%m%dT%H%M%SZ}.json"
    levels = [
        {
            "clients": level.clients,
            "rows": level.rows,
            "requests_per_second": level.window.per_second,
            "rows_per_second": level.rows_per_second,
            **asdict(level.window),
        }
        for level in report.levels
    ]
    content = asdict(report) | {"levels": levels, "at": at.isoformat()}
    figures.write_text(json.dumps(content, indent=1) + "\n")
    picture = figures.with_suffix(".png")
    draw(report, picture)
    return figures, picture


def draw(report: LoadReport, path: Path) -> None:
    """Draw answers a second and the time to an answer, over the number of clients."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    figure.suptitle(f"{report.model} version {report.version}, {report.cores} cores", fontsize=10)
    speed, wait = figure.subplots(1, 2)
    for rows, colour in zip(sorted({one.rows for one in report.levels}), (BLUE, RED), strict=False):
        levels = [one for one in report.levels if one.rows == rows]
        clients = [one.clients for one in levels]
        label = f"{rows} row{'s' if rows > 1 else ''} a request"
        speed.plot(clients, [one.window.per_second for one in levels], "o-", c=colour, label=label)
        for share, style in (("p50", "-"), ("p95", "--"), ("p99", ":")):
            times = [getattr(one.window, f"{share}_ms") for one in levels]
            wait.plot(clients, times, f"o{style}", c=colour, label=f"{label}, {share}", ms=4)
    for axis, title in ((speed, "answers a second"), (wait, "ms to an answer")):
        axis.set_title(title, fontsize=10)
        axis.set_xlabel("clients", fontsize=8)
        axis.set_xscale("log", base=2)
        ticks = sorted({one.clients for one in report.levels})
        axis.set_xticks(ticks, [str(one) for one in ticks])
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.2)
        axis.legend(fontsize=7)
    figure.savefig(path, dpi=100)
