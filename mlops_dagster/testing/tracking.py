# ruff: noqa: S101, D102 - these are tests; their names say what they claim
"""The contract of `Tracking` as tests."""

import dataclasses
from pathlib import Path

import pytest

from mlops_dagster.errors import StoreError
from mlops_dagster.stores.tracking import RunOwner, Tracking, tracked

OWNER = RunOwner(
    root_run_id="root-1",
    run_id="run-1",
    model="churn",
    segment="all",
    dagster_url="http://127.0.0.1:3000/runs/run-1",
)


def an_owner(**changes: str) -> RunOwner:
    """Make an owner."""
    return dataclasses.replace(OWNER, **changes)


class TrackingContract:
    """Give the fixture `tracking`, an empty store, and four readers.

    What was logged is read back by `status`, `params`, `metrics` and `tags`, past the store.
    """

    @pytest.fixture
    def tracking(self) -> Tracking:
        """Open an empty store."""
        raise NotImplementedError

    def status(self, tracking: Tracking, run_id: str) -> str:
        """Read how a run stands: RUNNING, FINISHED, FAILED or KILLED."""
        raise NotImplementedError

    def params(self, tracking: Tracking, run_id: str) -> dict[str, str]:
        """Read a run's parameters."""
        raise NotImplementedError

    def metrics(self, tracking: Tracking, run_id: str) -> dict[str, float]:
        """Read a run's metrics."""
        raise NotImplementedError

    def tags(self, tracking: Tracking, run_id: str) -> dict[str, str]:
        """Read a run's tags."""
        raise NotImplementedError

    # --- WHOSE RUN ---

    def test_a_retry_continues_the_run_of_its_owner(self, tracking: Tracking) -> None:
        first = tracking.run_of(OWNER)
        tracking.end(first, status="FAILED")
        again = tracking.run_of(an_owner(run_id="run-2"))
        assert again == first
        assert self.status(tracking, again) == "RUNNING"

    def test_another_run_model_segment_or_partition_has_a_run_of_its_own(
        self, tracking: Tracking
    ) -> None:
        owners = [
            OWNER,
            an_owner(root_run_id="root-2"),
            an_owner(model="parcels"),
            an_owner(segment="north"),
            an_owner(partition="2026-01"),
        ]
        assert len({tracking.run_of(owner) for owner in owners}) == len(owners)

    def test_a_run_says_which_dagster_run_made_it(self, tracking: Tracking) -> None:
        tags = self.tags(tracking, tracking.run_of(OWNER))
        assert tags["dagster.run_id"] == "run-1"
        assert tags["dagster.root_run_id"] == "root-1"
        assert tags["dagster.url"] == OWNER.dagster_url
        assert (tags["mlops_dagster.model"], tags["mlops_dagster.segment"]) == ("churn", "all")

    def test_work_that_fails_ends_its_run_as_failed(self, tracking: Tracking) -> None:
        with pytest.raises(ValueError, match="broken"), tracked(tracking, OWNER):
            raise ValueError("broken")  # noqa: EM101
        with tracked(tracking, OWNER) as run_id:
            tracking.end(run_id, status="KILLED")
        assert self.status(tracking, run_id) == "FINISHED"
        with pytest.raises(ValueError, match="broken"), tracked(tracking, OWNER):
            raise ValueError("broken")  # noqa: EM101
        assert self.status(tracking, run_id) == "FAILED"

    # --- WHAT IS LOGGED ---

    def test_params_metrics_and_tags_are_kept(self, tracking: Tracking) -> None:
        run_id = tracking.run_of(OWNER)
        tracking.log(run_id, params={"depth": "3"}, metrics={"roc_auc": 0.5}, tags={"a": "b"})
        tracking.log(run_id, metrics={"rows": 12})
        assert self.params(tracking, run_id) == {"depth": "3"}
        assert self.metrics(tracking, run_id) == {"roc_auc": 0.5, "rows": 12.0}
        assert self.tags(tracking, run_id)["a"] == "b"

    def test_a_parameter_that_changed_is_kept_as_a_tag(self, tracking: Tracking) -> None:
        run_id = tracking.run_of(OWNER)
        tracking.log(run_id, params={"depth": "3", "seed": "7"})
        tracking.log(run_id, params={"depth": "4", "seed": "7", "more": "1"})
        assert self.params(tracking, run_id) == {"depth": "3", "seed": "7", "more": "1"}
        tags = self.tags(tracking, run_id)
        assert tags["param_conflict.depth"] == "4"
        assert "param_conflict.seed" not in tags

    def test_more_than_one_request_can_hold_is_kept_whole(self, tracking: Tracking) -> None:
        run_id = tracking.run_of(OWNER)
        params = {f"p{at}": str(at) for at in range(205)}
        metrics = {f"m{at}": float(at) for at in range(1_005)}
        tags = {f"t{at}": str(at) for at in range(205)}
        tracking.log(run_id, params=params, metrics=metrics, tags=tags)
        assert self.params(tracking, run_id) == params
        assert self.metrics(tracking, run_id) == metrics
        assert tags.items() <= self.tags(tracking, run_id).items()

    # --- MODELS ---

    def test_a_models_files_come_back_as_they_were(
        self, tracking: Tracking, tmp_path: Path
    ) -> None:
        folder = tmp_path / "saved"
        (folder / "deep").mkdir(parents=True)
        (folder / "MLmodel").write_text("flavors: {}\n")
        (folder / "deep" / "weights").write_bytes(b"\0\1")
        run_id = tracking.run_of(OWNER)
        logged = tracking.log_model(run_id, folder, name="model")
        fetched = tracking.download(logged.uri)
        assert (fetched / "deep" / "weights").read_bytes() == b"\0\1"
        assert (fetched / "MLmodel").read_text() == "flavors: {}\n"
        assert logged.load_uri == f"models:/{logged.model_id}"

    def test_only_a_model_that_was_logged_with_a_run_is_there(
        self, tracking: Tracking, tmp_path: Path
    ) -> None:
        (tmp_path / "saved").mkdir()
        (tmp_path / "saved" / "MLmodel").write_text("flavors: {}\n")
        run_id = tracking.run_of(OWNER)
        logged = tracking.log_model(run_id, tmp_path / "saved", name="model")
        assert tracking.has_model(run_id, model_id=logged.model_id)
        assert not tracking.has_model("0123456789abcdef" * 2, model_id=logged.model_id)
        assert not tracking.has_model(run_id, model_id="m-" + "0123456789abcdef" * 2)

    # --- RUNS THAT WERE KILLED ---

    def test_only_runs_that_nobody_works_on_are_ended_as_killed(self, tracking: Tracking) -> None:
        dead = tracking.run_of(OWNER)
        live = tracking.run_of(an_owner(root_run_id="root-2", run_id="run-2"))
        other = tracking.run_of(an_owner(model="parcels"))
        done = tracking.run_of(an_owner(root_run_id="root-3", run_id="run-3"))
        tracking.end(done, status="FINISHED")
        ended = tracking.reconcile("churn", "all", is_open=lambda run_id: run_id == "run-2")
        assert list(ended) == [dead]
        found = {name: self.status(tracking, name) for name in (dead, live, other, done)}
        assert found == {dead: "KILLED", live: "RUNNING", other: "RUNNING", done: "FINISHED"}
        assert list(tracking.reconcile("nothing", "all", is_open=lambda _: False)) == []

    # --- ERRORS ---

    def test_a_run_that_is_not_there_is_a_store_error(self, tracking: Tracking) -> None:
        with pytest.raises(StoreError, match="0123456789abcdef"):
            tracking.log("0123456789abcdef" * 2, metrics={"a": 1.0})
