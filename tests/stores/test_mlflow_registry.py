"""MLflow as registry: the contract, and what is MLflow's own."""

import shutil

import pytest

from mlops_dagster.errors import StoreError
from mlops_dagster.stores.registry import CHAMPION
from mlops_dagster.stores.tracking import tracked
from mlops_dagster.testing.operations import run_together
from mlops_dagster.testing.registry import RegistryContract
from mlops_dagster.testing.tracking import OWNER
from mlops_dagster.workbench import Workbench


@pytest.fixture
def sources(bench, tmp_path):
    logged = []
    with tracked(bench.tracking, OWNER) as run_id:
        for number in range(3):
            folder = tmp_path / f"saved{number}"
            folder.mkdir()
            (folder / "MLmodel").write_text("flavors: {}\n")
            (folder / "weights").write_text(str(number))
            model = bench.tracking.log_model(run_id, folder, name="model")
            logged.append((model.uri, run_id, model.model_id))
    return logged


def test_a_home_that_was_moved_has_its_files_where_it_is_now(bench, sources, tmp_path):
    made = bench.registry.create_version(
        "churn", source=sources[1][0], mlflow_run_id=sources[1][1], model_id="", tags={}
    )
    before = bench.registry.download(made)
    assert str(before) == made.source
    moved = Workbench(home=bench.home.rename(tmp_path / "elsewhere"))
    for folder in (
        moved.registry.download(moved.registry.version("churn", "1")),
        moved.tracking.download(made.source),
    ):
        assert folder.is_relative_to(tmp_path / "elsewhere" / "artifacts")
        assert (folder / "weights").read_text() == "1"
    shutil.rmtree(folder)
    with pytest.raises(StoreError, match=f"not at {before} any more"):
        moved.registry.download(made)
    assert str(moved.tracking.download(made.source)) == made.source


class TestMlflowRegistry(RegistryContract):
    @pytest.fixture
    def registry(self, bench):
        return bench.registry

    @pytest.fixture
    def sources(self, sources):
        return sources

    def test_of_threads_that_register_one_model_at_once_all_get_one_version(
        self, registry, sources
    ):
        made: list[str] = []
        run_together(lambda _: made.append(self.put(registry, sources[0]).version), 4)
        assert made == ["1"] * 4
        assert len(registry.versions("churn")) == 1

    def test_a_version_leads_to_its_run_and_its_logged_model(self, bench, registry, sources):
        from mlflow.tracking import MlflowClient

        made = self.put(registry, sources[0])
        client = MlflowClient(tracking_uri=bench.mlflow_address)
        found = client.get_model_version("churn", made.version)
        assert (found.run_id, found.source) == (sources[0][1], sources[0][0])
        assert client.get_logged_model(sources[0][2]).artifact_location == found.source
        registry.create_version(
            "parcels",
            source=made.source,
            mlflow_run_id="",
            model_id="",
            tags={},
            about="Is it late?",
        )
        assert client.get_registered_model("parcels").description == "Is it late?"
        registry.set_description("churn", made.version, "# A card")
        assert client.get_model_version("churn", made.version).description == "# A card"
        registry.set_alias("churn", CHAMPION, made.version)
        assert client.get_registered_model("churn").aliases == {"champion": 1}

    def test_files_that_are_gone_are_a_store_error(self, registry, sources):
        made = self.put(registry, sources[0])
        shutil.rmtree(registry.download(made))
        with pytest.raises(StoreError, match="churn version 1: its files are not at"):
            registry.download(made)
