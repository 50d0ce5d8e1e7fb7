"""An endpoint that is down or behind is told once, and not what is over in a moment."""

from dataclasses import replace
from datetime import timedelta

import pytest

from mlops_dagster.clock import wall_now
from mlops_dagster.errors import StoreError
from mlops_dagster.notify.endpoint import endpoint_sighting
from mlops_dagster.stores.operations import Worker
from tests.notify.conftest import MODEL, NOW

WORKER = Worker(
    worker="w1", model="churn", segment="all", address="http://127.0.0.1:8080", version="3",
    problem="", pid=71, seen_at=NOW,
)  # fmt: skip
GONE = "churn has no version with the alias champion."
CASES = {
    "well": ([WORKER], "3", False, "1 of 1 workers answer from version 3."),
    "nobody knows what should serve": ([WORKER], None, False, "from what should serve"),
    "one of two was killed": ([WORKER, replace(WORKER, worker="w2", seen_at=NOW - timedelta(hours=1))],
                              "3", False, "1 of 1 workers"),
    "none was ever there": ([], "3", False, "No worker was seen for a day"),
    "killed": ([replace(WORKER, seen_at=NOW - timedelta(minutes=3))], "3", True,
               "No worker answers: http://127.0.0.1:8080 (process 71) is silent since 2026-02-28 23:57"),
    "behind": ([WORKER, replace(WORKER, version="2", pid=72)], "3", True,
               "1 of 2 workers do not follow version 3: http://127.0.0.1:8080 (process 72) answers"),
    "alias gone": ([replace(WORKER, problem=GONE)], None, True, f"answers from version 3. {GONE}"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_the_workers_say_of_the_endpoint(case):
    workers, serves, wrong, words = CASES[case]
    sight = endpoint_sighting(workers, serves=serves, now=NOW)
    assert (sight.wrong, words in sight.because) == (wrong, True), sight


def later(scene, seconds: int) -> None:
    scene.clock.set(scene.clock.now() + timedelta(seconds=seconds))


def test_a_killed_endpoint_is_told_after_a_minute_and_again_when_it_answers(scene, webhook):
    killed = replace(WORKER, seen_at=wall_now() - timedelta(minutes=2))
    scene.bench.operations.beat(killed)
    assert scene.look() == webhook.got == []
    later(scene, 61)
    assert scene.look() == scene.look() == []
    [(_, told)] = webhook.got
    assert told["title"] == "churn: its endpoint is down, or does not follow"
    assert "Start one: mlops-dagster serve churn" in told["text"]
    scene.bench.operations.beat(replace(WORKER, worker="w2", seen_at=wall_now()))
    assert scene.look() == []
    assert [one["state"] for _, one in webhook.got] == ["open", "over"]


def test_a_worker_that_is_behind_for_a_moment_is_not_told(scene, webhook):
    scene.bench.operations.beat(replace(WORKER, problem=GONE, seen_at=wall_now()))
    assert scene.look() == []
    later(scene, 30)
    scene.bench.operations.beat(replace(WORKER, seen_at=wall_now()))
    assert scene.look() == []
    later(scene, 60)
    assert scene.look() == webhook.got == []


def test_a_registry_that_does_not_answer_silences_nobody(scene, webhook, monkeypatch):
    def down(*_):
        message = "the registry does not answer"
        raise StoreError(message)

    monkeypatch.setattr(type(scene.bench.registry), "by_alias", down)
    scene.bench.operations.beat(replace(WORKER, seen_at=wall_now()))
    scene.find()
    assert scene.look() == []
    assert [one["title"] for _, one in webhook.got] == [f"{MODEL.name}: its answers drifted"]
