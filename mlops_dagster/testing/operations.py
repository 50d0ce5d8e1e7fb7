# ruff: noqa: S101, D102 - these are tests; their names say what they claim
"""The contract of `Operations` as tests."""

import dataclasses
from datetime import timedelta
from typing import Any

import pytest

from mlops_dagster.errors import ConflictError
from mlops_dagster.records import Decision, Finding, Outcome
from mlops_dagster.stores.operations import FindingFilter, Operations, Pointer
from mlops_dagster.testing.ledger import AT, MODEL, LedgerContract, run_together
from mlops_dagster.testing.workers import WorkersContract

SOON = timedelta(milliseconds=200)


def a_finding(**changes: Any) -> Finding:
    """Make a finding."""
    finding = Finding(
        model="churn",
        segment="all",
        signal="feature_drift",
        subject="age",
        outcome=Outcome.REFUSED,
        value=0.4,
        limit=0.1,
        rows=300,
        window_start=AT - timedelta(days=7),
        window_end=AT,
        at=AT,
        because="moved by 0.4",
    )
    return dataclasses.replace(finding, **changes)


def a_decision(**changes: Any) -> Decision:
    """Make a decision."""
    decision = Decision(
        model="churn", segment="all", action="none", reason="cooldown", because="too early", at=AT
    )
    return dataclasses.replace(decision, **changes)


class OperationsContract(LedgerContract, WorkersContract):
    """Give the fixture `operations`: an empty store."""

    @pytest.fixture
    def operations(self) -> Operations:
        """Open an empty store."""
        raise NotImplementedError

    # --- LEASES ---

    def test_a_lease_is_held_alone_and_let_go(self, operations: Operations) -> None:
        with operations.hold("a", holder="one"):
            assert operations.holder("a") == "one"
            with (
                pytest.raises(ConflictError, match="one has held it"),
                operations.hold("a", holder="two", wait=SOON),
            ):
                pytest.fail("two holders at once")
        assert operations.holder("a") is None
        with operations.hold("a", holder="two", wait=SOON):
            assert operations.holder("a") == "two"

    def test_a_holder_may_take_its_own_lease_again(self, operations: Operations) -> None:
        with operations.hold("a", holder="one"):
            with operations.hold("a", holder="one", wait=SOON):
                assert operations.holder("a") == "one"
            assert operations.holder("a") == "one"
        assert operations.holder("a") is None

    def test_a_lease_is_let_go_on_an_error(self, operations: Operations) -> None:
        with pytest.raises(ValueError, match="broken"), operations.hold("a", holder="one"):
            raise ValueError("broken")  # noqa: EM101
        assert operations.holder("a") is None

    def test_live_leases_are_listed_by_prefix(self, operations: Operations) -> None:
        with (
            operations.hold("run:churn/all:1", holder="1"),
            operations.hold("run:churn_all:2", holder="2"),
            operations.hold("Run:churn/all:3", holder="3"),
        ):
            assert operations.held("run:churn/all:") == ["run:churn/all:1"]
            assert operations.held("run:churn_") == ["run:churn_all:2"]

    def test_threads_count_under_a_lease_without_losing_one(self, operations: Operations) -> None:
        total = [0]

        def count(number: int) -> None:
            for _ in range(5):
                with operations.hold("count", holder=f"thread {number}"):
                    seen = total[0]
                    operations.holder("count")
                    total[0] = seen + 1

        run_together(count, 3)
        assert total == [15]

    # --- ACCEPTED RECORDS ---

    def test_a_pointer_moves_by_compare_and_set(self, operations: Operations) -> None:
        assert operations.pointer(*MODEL, "raw_data") is None
        operations.move_pointer(*MODEL, "raw_data", path="a", expected=None)
        assert operations.pointer(*MODEL, "raw_data") == Pointer(path="a", serial=1)
        operations.move_pointer(*MODEL, "raw_data", path="b", expected=1)
        assert operations.pointer(*MODEL, "raw_data") == Pointer(path="b", serial=2)
        for stale in (None, 1, 3):
            with pytest.raises(ConflictError, match="moved meanwhile"):
                operations.move_pointer(*MODEL, "raw_data", path="c", expected=stale)
        assert operations.pointer("churn", "north", "raw_data") is None

    def test_of_four_that_move_a_pointer_at_once_one_wins(self, operations: Operations) -> None:
        for serial in range(4):
            wins: list[int] = []

            def move(number: int, *, wins: list[int] = wins, expected: int = serial) -> None:
                try:
                    operations.move_pointer(
                        *MODEL, "features", path=str(number), expected=expected or None
                    )
                except ConflictError:
                    return
                wins.append(number)

            run_together(move, 4)
            assert len(wins) == 1
            expected = Pointer(path=str(wins[0]), serial=serial + 1)
            assert operations.pointer(*MODEL, "features") == expected

    def test_the_newest_work_of_a_fingerprint_is_recalled(self, operations: Operations) -> None:
        assert operations.recall(*MODEL, "features", fingerprint="f") is None
        operations.remember(*MODEL, "features", fingerprint="f", path="old")
        operations.remember(*MODEL, "features", fingerprint="f", path="new")
        assert operations.recall(*MODEL, "features", fingerprint="f") == "new"
        assert operations.recall(*MODEL, "raw_data", fingerprint="f") is None

    # --- FINDINGS AND DECISIONS ---

    def test_findings_are_listed_after_an_id(self, operations: Operations) -> None:
        assert operations.add_findings([]) == 0
        last = operations.add_findings([a_finding(), a_finding(subject="sex", value=None)])
        listed = operations.findings(*MODEL)
        assert [finding for _, finding in listed] == [
            a_finding(),
            a_finding(subject="sex", value=None),
        ]
        assert listed[-1][0] == last
        assert operations.findings(*MODEL, after=last) == []
        assert len(operations.findings(*MODEL, limit=1)) == 1

    def test_findings_are_chosen_by_what_they_say(self, operations: Operations) -> None:
        operations.add_findings(
            [
                a_finding(champion_version="1"),
                a_finding(subject="sex", outcome=Outcome.PASSED, champion_version="1"),
                a_finding(signal="data_age"),
                a_finding(subject="late", at=AT + SOON, champion_version="2"),
            ]
        )

        def subjects(**asked: Any) -> list[str]:
            found = operations.findings(*MODEL, only=FindingFilter(**asked))
            return [one.subject for _, one in found]

        assert subjects(signals=frozenset({"feature_drift"})) == ["age", "sex", "late"]
        assert subjects(outcome=Outcome.PASSED) == ["sex"]
        assert subjects(champion="1") == ["age", "sex"]
        assert subjects(since=AT) == ["late"]
        assert subjects(since=AT, champion="1") == []

    def test_the_newest_findings_come_first(self, operations: Operations) -> None:
        operations.add_findings([a_finding(subject=subject) for subject in "abc"])
        found = operations.newest_findings(*MODEL, limit=2)
        assert [one.subject for one in found] == ["c", "b"]
        operations.add_findings([a_finding(subject="a")])
        only = FindingFilter(outcome=Outcome.REFUSED)
        assert operations.newest_findings(*MODEL, limit=1, only=only) == [a_finding(subject="a")]

    def test_the_same_window_again_replaces_the_finding_under_a_new_id(
        self, operations: Operations
    ) -> None:
        for window in ({}, {"window_start": None, "window_end": None}):
            first = operations.add_findings([a_finding(**window)])
            again = operations.add_findings([a_finding(value=0.9, **window)])
            assert again > first
            assert operations.findings(*MODEL, after=first) == [
                (again, a_finding(value=0.9, **window))
            ]
        assert len(operations.findings(*MODEL)) == 2

    def test_equal_noes_are_kept_once_and_their_time_moves_on(self, operations: Operations) -> None:
        later = AT + timedelta(hours=1)
        operations.add_decision(a_decision())
        operations.add_decision(a_decision(at=later, evidence={"n": [1, None]}))
        assert operations.decisions(*MODEL) == [a_decision(at=later, evidence={"n": [1, None]})]
        yes = a_decision(action="retrain", reason="drift", run_key="k", at=later)
        operations.add_decision(yes)
        operations.add_decision(yes)
        operations.add_decision(a_decision(at=later))
        assert [one.action for one in operations.decisions(*MODEL)] == [
            "none",
            "retrain",
            "retrain",
            "none",
        ]
        assert operations.decisions(*MODEL, action="retrain", limit=1) == [yes]

    def test_equal_noes_of_two_authors_are_kept_once_each_and_the_last_comes_first(
        self, operations: Operations
    ) -> None:
        for minute in range(6):
            by = {"by": "ages" if minute % 2 else "drift"}
            said = "nothing new" if minute % 2 else "too early"
            at = AT + timedelta(minutes=minute)
            operations.add_decision(a_decision(because=said, at=at, evidence=by))
        assert operations.decisions(*MODEL) == [
            a_decision(
                because="nothing new", at=AT + timedelta(minutes=5), evidence={"by": "ages"}
            ),
            a_decision(because="too early", at=AT + timedelta(minutes=4), evidence={"by": "drift"}),
        ]
