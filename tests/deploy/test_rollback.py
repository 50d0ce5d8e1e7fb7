"""A rollback puts back what served before, and what was removed does not come back by itself."""

from datetime import timedelta

import pytest

from mlops_dagster.cli.status_facts import challenger
from mlops_dagster.clock import wall_now
from mlops_dagster.deploy.approval import approve
from mlops_dagster.deploy.moves import champion_of, changes, move_champion, settle
from mlops_dagster.deploy.rollback import await_workers, held_since, roll_back, served_before
from mlops_dagster.deploy.run import run
from mlops_dagster.deploy.sensors import approved_version
from mlops_dagster.deploy.spec import DeploySpec
from mlops_dagster.errors import GateRefusedError, StoreError
from mlops_dagster.records import BARRED_TAG, Outcome
from mlops_dagster.stores.operations import Worker
from mlops_dagster.stores.registry import CHALLENGER, CHAMPION
from tests.deploy.test_moves import order, registered, step
from tests.scoring.models import MODEL

AUTOMATIC = DeploySpec(promotion="automatic")


def worker(bench, version: str, **changes) -> Worker:
    told = {
        "worker": "w1", "model": MODEL.name, "segment": "all", "address": "http://127.0.0.1:1",
        "version": version, "problem": "", "pid": 1, "seen_at": wall_now(),
    }  # fmt: skip
    bench.operations.beat(Worker(**told | changes))


def test_a_rollback_puts_the_version_before_back_and_bars_the_one_removed(versions):
    move = roll_back(versions, MODEL, who="ann", why="it answers nonsense")
    assert (move.kind, move.from_version, move.to_version) == ("rollback", "2", "1")
    assert champion_of(versions, MODEL) == "1"
    again = run(step(versions), AUTOMATIC, registered("2", against="1"))
    assert again.outcome is Outcome.NOT_APPLICABLE, "a run that brings nothing new does not fail"
    assert 'mlops-dagster approve parcels --version 2 --why "..."' in again.because
    assert (
        "version 2 was rolled back and is barred: it answers nonsense (ann" in again.because.lower()
    )
    assert champion_of(versions, MODEL) == "1"


def test_what_was_approved_before_a_rollback_is_to_be_approved_again(versions):
    versions.registry.set_alias(MODEL.registered_name, CHALLENGER, "2")
    approve(versions, MODEL, "2", who="ann", why="it is better")
    roll_back(versions, MODEL, who="bob", why="it answers nonsense")
    told = challenger(versions, MODEL.name).text
    assert told.startswith("version 2, was rolled back: it answers nonsense (bob")
    assert told.endswith(
        'waits for a person: mlops-dagster approve parcels --version 2 --why "..."'
    )
    assert approved_version(versions, MODEL)[0] is None
    approve(versions, MODEL, "2", who="ann", why="it was the client")
    assert run(step(versions), AUTOMATIC, registered("2", against="1")).version == "2"


def test_after_a_rollback_the_next_version_waits_for_a_person(versions):
    roll_back(versions, MODEL, who="ann", why="it answers nonsense")
    waiting = run(step(versions), AUTOMATIC, registered("3", against="1"))
    assert waiting.outcome is Outcome.NOT_APPLICABLE
    assert "held since ann rolled version 2 back" in waiting.because
    assert "mlops-dagster approve" in waiting.because
    versions.registry.set_alias(MODEL.registered_name, CHALLENGER, "3")
    approve(versions, MODEL, "3", who="bob", why="looked at it")
    assert run(step(versions), AUTOMATIC, registered("3", against="1")).version == "3"
    assert versions.operations.moves(MODEL.name, "all", state="done")[-1].who == "bob"


def test_two_rollbacks_go_back_twice_and_a_third_has_nowhere_to_go(versions):
    move_champion(versions, MODEL, order("3", instead_of="2"))
    assert roll_back(versions, MODEL, who="ann", why="a").to_version == "2"
    assert roll_back(versions, MODEL, who="ann", why="b").to_version == "1"
    with pytest.raises(GateRefusedError, match="nothing to go back to"):
        roll_back(versions, MODEL, who="ann", why="c")
    with pytest.raises(GateRefusedError, match="needs a reason"):
        roll_back(versions, MODEL, who="ann", why=" ")


def test_a_version_that_comes_again_counts_where_it_stands_last(versions):
    move_champion(versions, MODEL, order("1", instead_of="2"))
    assert served_before(changes(versions.operations, MODEL.name, "all")) == ["2"]


def test_a_rollback_waits_until_every_worker_answers_from_the_version(versions):
    worker(versions, "1")
    [told] = await_workers(versions, MODEL, "1", within=timedelta(0))
    assert told.version == "1"
    worker(versions, "2", worker="w2", problem="files were changed")
    with pytest.raises(StoreError, match=r"process 1\): version 2 files were changed"):
        await_workers(versions, MODEL, "1", within=timedelta(0))
    worker(versions, "2", worker="w2", seen_at=wall_now() - timedelta(minutes=1))
    assert len(await_workers(versions, MODEL, "1", within=timedelta(0))) == 1


def test_a_version_that_the_endpoint_does_not_follow_is_put_back(versions):
    worker(versions, "2", problem="it needs pandas==0.1")
    hasty = DeploySpec(promotion="automatic", confirm_within=timedelta(0))
    record = run(step(versions), hasty, registered("3", against="2"))
    assert record.outcome is Outcome.REFUSED
    assert "version 2 it needs pandas==0.1 Version 2 was put back." in record.because
    assert champion_of(versions, MODEL) == "2"
    [loads] = [check for check in record.checks if check.name == "version_loads"]
    assert loads.outcome is Outcome.REFUSED


def test_a_version_whose_alias_was_deleted_elsewhere_is_put_back_and_nothing_is_barred(versions):
    versions.registry.delete_alias(MODEL.registered_name, CHAMPION)
    move = roll_back(versions, MODEL, who="ann", why="the alias was deleted by hand")
    assert (move.kind, move.from_version, move.to_version) == ("rollback", None, "2")
    assert champion_of(versions, MODEL) == "2"
    assert [one.kind for one in changes(versions.operations, MODEL.name, "all")[-2:]] == [
        "external",
        "rollback",
    ]
    tags = [versions.registry.version(MODEL.registered_name, one).tags for one in ("1", "2", "3")]
    assert not any(one.get(BARRED_TAG) for one in tags)
    assert "ann put version 2 back" in held_since(versions, MODEL)
    versions.registry.delete_alias(MODEL.registered_name, CHAMPION)
    settle(versions, MODEL)
    assert roll_back(versions, MODEL, who="ann", why="and again").to_version == "2"
