"""What serves changes by a sequence that can be interrupted anywhere."""

import logging
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from mlops_dagster.deploy.approval import approve
from mlops_dagster.deploy.moves import Order, champion_of, move_champion, settle
from mlops_dagster.deploy.rules import Standing, rule
from mlops_dagster.deploy.run import run
from mlops_dagster.deploy.spec import DeploySpec
from mlops_dagster.errors import ConflictError, GateRefusedError, StoreError
from mlops_dagster.records import Outcome, RegisteredVersion
from mlops_dagster.stores.registry import CHAMPION
from mlops_dagster.workbench import StepContext, Workbench
from tests.scoring.models import MODEL, artifact_of, register, save, user_package

STANDING = Standing(
    candidate="3", champion="2", judged_against="2", promotion="automatic", approval="not_needed"
)
RULINGS = {
    "passed its gates": (STANDING, "move", "Version 3 passed every gate against version 2."),
    "first": (replace(STANDING, champion=None, judged_against=None), "move", "against no champion"),
    "serves already": (replace(STANDING, champion="3"), "keep", "Version 3 serves already."),
    "another champion": (
        replace(STANDING, champion="4"),
        "refuse",
        "judged against version 2, but version 4 serves now",
    ),
    "manual, unsaid": (replace(STANDING, promotion="manual", approval="pending"), "wait", "waits"),
    "manual, approved": (
        replace(
            STANDING, promotion="manual", approval="approved", approved_by="ana", approved_why="ok"
        ),
        "move",
        "Approved by ana: ok",
    ),
    "manual, approved but stale": (
        replace(STANDING, promotion="manual", approval="approved", champion=None),
        "refuse",
        "no champion serves now",
    ),
}


@pytest.mark.parametrize("case", RULINGS)
def test_what_becomes_of_a_candidate(case):
    standing, action, words = RULINGS[case]
    ruling = rule(standing)
    assert (ruling.action, words in ruling.because) == (action, True), ruling


@pytest.fixture
def versions(bench, points, tmp_path) -> Workbench:
    """Three registered versions, none of which serves."""
    for number, strength in enumerate((1.0, 0.1, 0.01), start=1):
        function = user_package(tmp_path / f"s{number}", name=f"movepkg{number}")
        artifact = artifact_of(points, function, strength=strength)
        folder = save(artifact, tmp_path / f"m{number}", points, package=f"movepkg{number}")
        register(bench, folder, run=f"r{number}")
    return bench


def order(to: str, *, instead_of: str | None) -> Order:
    return Order(to_version=to, expected=instead_of, who="ana", why="because")


def registered(version: str, *, against: str | None) -> RegisteredVersion:
    from datetime import UTC, datetime

    now = datetime(2026, 3, 1, tzinfo=UTC)
    return RegisteredVersion(
        model="parcels", segment="all", run_id="r", made_at=now, recorded_at=now, data_version="d",
        registered_name="parcels", version=version, model_id="m", mlflow_run_id="x",
        artifact_sha256="s", judged_against=against,
    )  # fmt: skip


def step(bench: Workbench, run_id: str = "run-1", **config: str) -> StepContext:
    return StepContext(
        model=MODEL, bench=bench, run_id=run_id, root_run_id=run_id, noun="deployment",
        log=logging.getLogger("test"), config=config,
    )  # fmt: skip


def test_MR2_a_promotion_moves_the_alias_and_the_ledger_says_who_what_and_why(versions):
    move_champion(versions, MODEL, order("1", instead_of=None))
    move_champion(versions, MODEL, order("2", instead_of="1"))
    assert champion_of(versions, MODEL) == "2"
    first, second = versions.operations.moves("parcels", "all")
    assert (first.from_version, first.to_version, first.state) == (None, "1", "done")
    assert (second.from_version, second.to_version, second.who, second.why) == (
        "1",
        "2",
        "ana",
        "because",
    )


def test_of_two_candidates_that_beat_the_same_champion_one_goes_live(versions):
    move_champion(versions, MODEL, order("1", instead_of=None))
    outcomes: list[str] = []

    def try_it(version: str) -> None:
        record = run(
            step(versions, f"run-{version}"), DeploySpec(), registered(version, against="1")
        )
        outcomes.append(f"{version} {record.outcome}")

    threads = [threading.Thread(target=try_it, args=(version,)) for version in ("2", "3")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(one.split()[1] for one in outcomes) == ["passed", "refused"]
    [winner] = [one.split()[0] for one in outcomes if one.endswith("passed")]
    assert champion_of(versions, MODEL) == winner
    assert versions.operations.moves("parcels", "all", state="open") == []


def test_a_version_that_is_not_what_was_registered_is_not_put_live(versions):
    move_champion(versions, MODEL, order("1", instead_of=None))
    version = versions.registry.version("parcels", "2")
    (versions.registry.download(version) / "python_model.pkl").write_bytes(b"changed")
    with pytest.raises(StoreError, match="version 2: the files at"):
        run(step(versions), DeploySpec(), registered("2", against="1"))
    assert champion_of(versions, MODEL) == "1"
    assert versions.operations.moves("parcels", "all", state="open") == []


def test_an_alias_that_was_moved_elsewhere_is_entered_as_external(versions):
    versions.registry.set_alias("parcels", CHAMPION, "2")
    settle(versions, MODEL)
    [move] = versions.operations.moves("parcels", "all")
    assert (move.kind, move.to_version, move.state) == ("external", "2", "done")
    settle(versions, MODEL)
    assert len(versions.operations.moves("parcels", "all")) == 1


def test_MR5_a_manual_version_waits_for_a_name_and_a_reason_and_the_ledger_keeps_them(versions):
    spec = DeploySpec(promotion="manual")
    waiting = run(step(versions), spec, registered("1", against=None))
    assert waiting.outcome is Outcome.NOT_APPLICABLE
    assert 'mlops-dagster approve parcels --version 1 --why "..."' in waiting.because
    assert champion_of(versions, MODEL) is None
    approved = approve(versions, MODEL, "1", who="ana", why="checked by hand")
    assert approved.tags["mlops_dagster.approved_at"] == versions.clock.now().isoformat()
    live = run(step(versions, "run-2"), spec, registered("1", against=None))
    assert live.outcome is Outcome.PASSED
    [move] = versions.operations.moves("parcels", "all")
    assert (move.who, move.why) == ("ana", "Approved by ana: checked by hand")


def test_a_refused_version_cannot_be_approved(versions):
    versions.registry.set_tags("parcels", "2", {"mlops_dagster.outcome": "refused"})
    with pytest.raises(GateRefusedError, match="version 2 was refused by its gates"):
        approve(versions, MODEL, "2", who="ana", why="please")
    with pytest.raises(GateRefusedError, match="needs a name and a reason"):
        approve(versions, MODEL, "1", who="ana", why=" ")


def test_a_stale_expectation_is_a_conflict(versions):
    move_champion(versions, MODEL, order("1", instead_of=None))
    with pytest.raises(ConflictError, match="take the place of nothing, but 1 serves now"):
        move_champion(versions, MODEL, order("2", instead_of=None))


KILLED = """
import os, sys
from pathlib import Path
from mlops_dagster.deploy.moves import Order, move_champion
from mlops_dagster.workbench import Workbench
from tests.scoring.models import MODEL

bench = Workbench(home=Path(sys.argv[1]))
registry, point = bench.registry, sys.argv[2]

class Dying:
    def __getattr__(self, name):
        return getattr(registry, name)

    def set_alias(self, *args):
        if point == "before the alias":
            os._exit(9)
        registry.set_alias(*args)
        if point == "after the alias":
            os._exit(9)

bench.__dict__["registry"] = Dying()
move_champion(bench, MODEL, Order(to_version="2", expected="1", who="dead", why="x"))
"""


@pytest.mark.parametrize(("point", "serves"), [("before the alias", "1"), ("after the alias", "2")])
def test_a_promotion_that_was_killed_half_way_is_finished_or_undone(versions, point, serves):
    move_champion(versions, MODEL, order("1", instead_of=None))
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(versions.home), point], check=False, cwd=Path.cwd()
    )
    assert done.returncode == 9
    assert len(versions.operations.moves("parcels", "all", state="open")) == 1
    record = run(step(versions), DeploySpec(), registered("3", against=serves))
    assert record.outcome is Outcome.PASSED
    assert champion_of(versions, MODEL) == "3"
    assert versions.operations.moves("parcels", "all", state="open") == []
    states = [(move.to_version, move.state) for move in versions.operations.moves("parcels", "all")]
    assert states == [("1", "done"), ("2", "done" if serves == "2" else "undone"), ("3", "done")]
