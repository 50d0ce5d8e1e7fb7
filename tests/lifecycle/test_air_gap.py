"""A machine without a network: a whole life, and no address beyond the machine is ever asked for."""

import os
import subprocess
import sys
from pathlib import Path

from tests.lifecycle.small import cancer

ROOT = Path(__file__).resolve().parents[2]
GUARD = """
import os, socket

def refuse(place):
    host = place[0] if isinstance(place, tuple) else None
    if host not in {None, "", "127.0.0.1", "::1", "localhost", "0.0.0.0"}:
        with open(os.environ["ASKED_FOR"], "a") as told:
            told.write(f"{host}\\n")
        raise OSError(f"no way out of this machine: {host}")

def guarded(name):
    real = getattr(socket.socket, name)
    def call(self, *given):
        refuse(given[-1])
        return real(self, *given)
    setattr(socket.socket, name, call)

for name in ("connect", "connect_ex", "sendto"):
    guarded(name)
look_up = socket.getaddrinfo

def getaddrinfo(host, *given, **named):
    refuse((host.decode() if isinstance(host, bytes) else host,))
    return look_up(host, *given, **named)

socket.getaddrinfo = getaddrinfo
"""
LIFE = """
import socket, sys
from datetime import datetime, UTC
from pathlib import Path
import dagster as dg
from mlops_dagster.clock import ReplayClock
from mlops_dagster.workbench import Workbench
from tests.lifecycle.small import Scene, cancer_spec

for way in (("192.0.2.1", 80), ("example.org", 80)):
    try:
        socket.create_connection(way, timeout=1)
    except OSError as error:
        assert "no way out" in str(error), error
    else:
        sys.exit("the guard does not guard")
home, table = map(Path, sys.argv[1:])
clock = ReplayClock(home / "clock")
clock.set(datetime(2026, 3, 1, tzinfo=UTC))
with dg.instance_for_test() as instance:
    scene = Scene(cancer_spec(table), Workbench(home=home, clock=clock), instance)
    sys.exit(0 if scene.run("lifecycle").success else "the run failed")
"""


def test_GO12_a_whole_life_asks_for_no_address_beyond_this_machine(home, tmp_path):
    table = cancer()
    table.loc[table.index[-40:], "target"] = None
    table.to_csv(tmp_path / "cancer.csv", index=False)
    # A process reads this by itself when it starts, and so does every process that it starts.
    (tmp_path / "guard").mkdir()
    (tmp_path / "guard" / "sitecustomize.py").write_text(GUARD)
    told = tmp_path / "asked_for"
    paths = os.pathsep.join([str(tmp_path / "guard"), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-c", LIFE, str(home), str(tmp_path / "cancer.csv")],
        env={**os.environ, "PYTHONPATH": paths, "ASKED_FOR": str(told)},
        capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3_000:]
    assert told.read_text().split() == ["192.0.2.1", "example.org"]
