"""A move that fails or is killed anywhere leaves one champion and no open intent."""

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from mlops_dagster.deploy.approval import approve
from mlops_dagster.deploy.moves import Order, champion_of, move_champion, settle
from mlops_dagster.deploy.run import run
from mlops_dagster.deploy.sensors import approved_version
from mlops_dagster.deploy.spec import DeploySpec
from mlops_dagster.errors import ConflictError, GateRefusedError, StoreError
from mlops_dagster.records import Outcome
from mlops_dagster.stores.registry import CHALLENGER, CHAMPION
from mlops_dagster.workbench import Workbench
from tests.deploy.test_moves import order, registered, step
from tests.scoring.models import MODEL, artifact_of, register, save, user_package


class FailingRegistry:
    """The real registry, whose next write of an alias fails before or after it is done."""

    def __init__(self, registry, *, after: bool) -> None:
        self.registry = registry
        self.after = after
        self.left = 1

    def __getattr__(self, name):
        return getattr(self.registry, name)

    def set_alias(self, name, alias, version):
        fails, self.left = self.left > 0, self.left - 1
        if self.after or not fails:
            self.registry.set_alias(name, alias, version)
        if fails:
            raise StoreError("the connection was lost")


@pytest.fixture(scope="module")
def folder(points, tmp_path_factory):
    place = tmp_path_factory.mktemp("model")
    function = user_package(place / "src", name="faultpkg")
    return save(artifact_of(points, function), place / "model", points, package="faultpkg")


@pytest.fixture
def versions(bench, folder) -> Workbench:
    """Two registered versions, the first of which serves."""
    for number in ("1", "2"):
        register(bench, folder, run=f"r{number}")
    move_champion(bench, MODEL, order("1", instead_of=None))
    return bench


def failing(bench: Workbench, *, after: bool) -> Workbench:
    broken = Workbench(home=bench.home, clock=bench.clock)
    broken.__dict__["registry"] = FailingRegistry(bench.registry, after=after)
    return broken


def states(bench: Workbench) -> list[tuple[str | None, str]]:
    return [(move.to_version, move.state) for move in bench.operations.moves("parcels", "all")]


@pytest.mark.parametrize("after", [False, True])
def test_an_alias_that_cannot_be_written_is_put_back_and_the_ledger_says_why(versions, after):
    with pytest.raises(StoreError, match="the connection was lost"):
        run(step(failing(versions, after=after)), DeploySpec(), registered("2", against="1"))
    assert champion_of(versions, MODEL) == "1"
    assert states(versions) == [("1", "done"), ("2", "undone")]
    assert "the connection was lost" in versions.operations.moves("parcels", "all")[-1].why
    again = run(step(versions, "run-2"), DeploySpec(), registered("2", against="1"))
    assert (again.outcome, champion_of(versions, MODEL)) == (Outcome.PASSED, "2")


def test_the_first_champion_that_cannot_be_written_leaves_none(bench, folder):
    register(bench, folder, run="r1")
    with pytest.raises(StoreError, match="the connection was lost"):
        move_champion(failing(bench, after=True), MODEL, order("1", instead_of=None))
    assert champion_of(bench, MODEL) is None
    settle(bench, MODEL)
    assert states(bench) == [("1", "undone")]


KILLED = """
import os, sys
from pathlib import Path
from mlops_dagster.deploy.moves import Order, move_champion
from mlops_dagster.workbench import Workbench
from tests.scoring.models import MODEL

bench, (called, when) = Workbench(home=Path(sys.argv[1])), sys.argv[2:]


class Dying:
    def __init__(self, store):
        self.store = store

    def __getattr__(self, name):
        found = getattr(self.store, name)
        if name != called:
            return found

        def die(*args, **kwargs):
            if when == "after":
                found(*args, **kwargs)
            os._exit(9)

        return die


bench.__dict__.update(registry=Dying(bench.registry), operations=Dying(bench.operations))
move_champion(bench, MODEL, Order(to_version="2", expected="1", who="dead", why="x"))
"""


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("called", "when", "serves"),
    [
        ("download", "before", "1"),
        ("open_move", "before", "1"),
        ("open_move", "after", "1"),
        ("set_alias", "after", "2"),
        ("close_move", "before", "2"),
        ("close_move", "after", "2"),
    ],
)
def test_a_move_that_was_killed_anywhere_leaves_one_champion(versions, called, when, serves):
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(versions.home), called, when],
        check=False,
        cwd=Path.cwd(),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 9
    record = run(step(versions), DeploySpec(), registered("2", against="1"))
    assert (record.outcome, record.version) == (Outcome.PASSED, "2")
    assert champion_of(versions, MODEL) == "2"
    assert versions.operations.moves("parcels", "all", state="open") == []
    done_moves = [move for move, state in states(versions) if state == "done"]
    assert done_moves == ["1", "2"]
    assert record.previous == (None if serves == "2" else "1")


class Impatient:
    """The real operations, which wait for a lease no longer than a moment."""

    def __init__(self, operations) -> None:
        self.operations = operations

    def __getattr__(self, name):
        return getattr(self.operations, name)

    def hold(self, name, *, holder):
        return self.operations.hold(name, holder=holder, wait=timedelta(milliseconds=50))


def test_two_moves_by_one_person_are_not_made_at_once(versions):
    second = Workbench(home=versions.home, clock=versions.clock)
    second.__dict__["operations"] = Impatient(versions.operations)
    twice = Order(to_version="2", expected="1", who="ana", why="twice")
    held = versions.operations.hold("lock:parcels/all/champion", holder="ana")
    with held, pytest.raises(ConflictError, match="ana has held it"):
        move_champion(second, MODEL, twice)
    assert champion_of(versions, MODEL) == "1"


def test_a_rollback_is_a_move_back_by_the_same_sequence(versions):
    move_champion(versions, MODEL, order("2", instead_of="1"))
    back = Order(to_version="1", expected="2", who="ana", why="it is worse", kind="rollback")
    assert move_champion(versions, MODEL, back).kind == "rollback"
    assert champion_of(versions, MODEL) == "1"


def test_a_version_that_serves_already_is_not_moved_again(versions):
    record = run(step(versions), DeploySpec(), registered("1", against=None))
    assert (record.outcome, record.because) == (Outcome.PASSED, "Version 1 serves already.")
    assert states(versions) == [("1", "done")]


def test_a_candidate_that_was_judged_against_another_champion_is_refused(versions):
    record = run(step(versions), DeploySpec(), registered("2", against=None))
    assert record.outcome is Outcome.REFUSED
    [check] = record.checks
    assert (check.name, check.outcome) == ("champion_unchanged", Outcome.REFUSED)
    assert "judged against no champion, but version 1 serves now" in check.because
    assert champion_of(versions, MODEL) == "1"


def test_an_automatic_promotion_is_the_runs_whatever_a_person_said_before(versions):
    approve(versions, MODEL, "2", who="ana", why="looked at it")
    run(step(versions), DeploySpec(), registered("2", against="1"))
    assert versions.operations.moves("parcels", "all")[-1].who == "run run-1"


def test_only_the_version_that_waits_can_be_approved(versions):
    versions.registry.set_alias("parcels", CHALLENGER, "2")
    versions.registry.set_alias("parcels", CHAMPION, "1")
    assert approved_version(versions, MODEL) == (
        None,
        "parcels/all: version 2 waits for an approval.",
    )
    with pytest.raises(GateRefusedError, match="version 1 does not wait: version 2 is challenger"):
        approve(versions, MODEL, "1", who="ana", why="older is better")
    approve(versions, MODEL, "2", who="ana", why="looked at it")
    assert approved_version(versions, MODEL)[0] == "2"
