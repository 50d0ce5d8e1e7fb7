"""`mlops-dagster dev`: Dagster and MLflow beside it, both on this machine only, until Ctrl-C."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread

import click

from mlops_dagster.cli.location import WORKSPACE, dagster_home, entries, open_bench
from mlops_dagster.errors import StoreError, redact

LOOPBACK = "127.0.0.1"
PATIENCE_S = 10

_NOISE = re.compile(
    rb" - dagster - DEBUG - |\.py:\d+: \w*(Deprecation|Supersession|Preview|Beta)Warning: "
    rb'| - "[A-Z]+ \S+ HTTP/[\d.]+" [1-4]\d\d '
)


@click.command("dev")
@WORKSPACE
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=3000,
    show_default=True,
    help="Of Dagster's pages.",
)
@click.option(
    "--mlflow-port",
    type=click.IntRange(0, 65535),
    default=5000,
    show_default=True,
    help="Of MLflow's pages.",
)
@click.option(
    "--sensors", type=click.Choice(["running", "stopped"]), default="running", show_default=True
)
def command(*, workspace: Path, port: int, mlflow_port: int, sensors: str) -> None:
    """Open Dagster's pages (with daemon and sensors) and MLflow's beside them, until Ctrl-C."""
    entries(workspace)
    bench = open_bench()
    environment = environment_of(
        bench.home,
        sensors=sensors,
        port=port,
        mlflow_port=None if bench.tracking_uri else mlflow_port,
    )
    commands = {"Dagster": dagster_command(workspace, port=port)}
    if not bench.tracking_uri:
        commands["MLflow"] = mlflow_command(
            bench.mlflow_address, bench.artifacts_root, port=mlflow_port
        )
    click.echo(f"Dagster  http://{LOOPBACK}:{port}")
    click.echo(f"MLflow   {mlflow_page(bench.tracking_uri, port=mlflow_port)}")
    click.echo("Ctrl-C ends both." if len(commands) > 1 else "Ctrl-C ends it.")
    # The signals first: a process that is started while they are caught can be interrupted itself.
    with asked_to_end() as asked, running(commands, environment) as processes:
        wait_for_end(processes, asked)


def environment_of(
    home: Path, *, sensors: str, port: int, mlflow_port: int | None
) -> dict[str, str]:
    """Say what both are started with: this home, and no word to their makers of each visit.

    Without a port of MLflow its pages are where they were: none is started here.
    """
    from mlops_dagster.stores.mlflow_home import be_quiet

    be_quiet()
    mlflow = {"MLOPS_MLFLOW_UI_URL": f"http://{LOOPBACK}:{mlflow_port}"} if mlflow_port else {}
    return {
        **os.environ,
        "DAGSTER_HOME": str(dagster_home()),
        "MLOPS_HOME": str(home.resolve()),
        "MLOPS_SENSORS": sensors,
        "MLOPS_UI_URL": f"http://{LOOPBACK}:{port}",
        "PYTHONUNBUFFERED": "1",
        **mlflow,
    }


def dagster_command(workspace: Path, *, port: int) -> list[str]:
    """Say how Dagster is started."""
    where = ["-w", str(workspace)] if workspace.exists() else []
    return [sys.executable, "-m", "dagster", "dev", *where, "-h", LOOPBACK, "-p", str(port)]


def mlflow_command(address: str, artifacts: str, *, port: int) -> list[str]:
    """Say how MLflow is started."""
    store = ["--backend-store-uri", address, "--default-artifact-root", artifacts]
    place = ["--host", LOOPBACK, "--port", str(port), "--workers", "1"]
    return [sys.executable, "-m", "mlflow", "server", *store, *place]


def mlflow_page(tracking_uri: str, *, port: int) -> str:
    """Say where MLflow's pages are: on a server that runs already, or on the one started here."""
    from mlops_dagster.stores.mlflow_tracking import TRAINING, pages_of

    pages = pages_of(tracking_uri) if tracking_uri else f"http://{LOOPBACK}:{port}"
    return f"{pages}/#/experiments{TRAINING}" if pages else redact(tracking_uri)


@contextmanager
def running(
    commands: Mapping[str, list[str]], environment: Mapping[str, str]
) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    """Start the commands, each in a group of its own, and end every one of them afterwards.

    What they say is passed on until they are ended: one that is interrupted while it starts says much.
    """
    processes: dict[str, subprocess.Popen[bytes]] = {}
    tellers: dict[str, Thread] = {}
    ending = Event()
    try:
        for name, line in commands.items():
            processes[name] = subprocess.Popen(  # noqa: S603 - our own command
                line,
                env=dict(environment),
                start_new_session=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
            tellers[name] = Thread(target=tell, args=(processes[name], ending), daemon=True)
            tellers[name].start()
        yield processes
    finally:
        for name, teller in tellers.items():
            if processes[name].poll() is not None:
                teller.join(PATIENCE_S)
        ending.set()
        end_all(list(processes.values()))


def tell(process: "subprocess.Popen[bytes]", ending: Event) -> None:
    """Pass on what a process says, until it is to end; it is heard to its last line."""
    for line in without_noise(process.stdout or ()):
        if not ending.is_set():
            click.echo(line, nl=False)


def without_noise(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Leave out debug lines, visits that went well, and warnings that only a library's author can act on."""
    quoted = False
    for line in lines:
        noise = bool(_NOISE.search(line))
        # A warning quotes its line of code below itself.
        quoted = noise or (quoted and line.startswith(b" "))
        if not quoted:
            yield line


def end_all(processes: "Sequence[subprocess.Popen[bytes]]") -> None:
    """Ask processes and their children to end; after a while, insist."""
    for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        living = [one for one in processes if one.poll() is None]
        for process in living:
            os.killpg(process.pid, sign)
        for process in living:
            with suppress(subprocess.TimeoutExpired):
                process.wait(PATIENCE_S)


def wait_for_end(processes: "Mapping[str, subprocess.Popen[bytes]]", asked: Event) -> None:
    """Wait until it is asked for. Raises: StoreError when a process ended by itself."""
    while not asked.wait(0.5):
        for name, process in processes.items():
            if (code := process.poll()) is not None:
                message = (
                    f"{name} ended by itself with code {code}; its last lines are above. "
                    "If the port is taken, choose another: --port, --mlflow-port."
                )
                raise StoreError(message)


@contextmanager
def asked_to_end() -> Iterator[Event]:
    """Give an event that Ctrl-C and SIGTERM set, in place of what they did before."""
    asked = Event()
    signals = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(one, lambda *_: asked.set()) for one in signals]
    try:
        yield asked
    finally:
        for one, handler in zip(signals, before, strict=True):
            signal.signal(one, handler)
