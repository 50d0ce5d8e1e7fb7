"""What the tests of deployments share."""

import pytest

from mlops_dagster.deploy.moves import move_champion
from tests.deploy.test_moves import order
from tests.scoring.models import MODEL, artifact_of, register, save, user_package


@pytest.fixture(scope="module")
def folder(points, tmp_path_factory):
    place = tmp_path_factory.mktemp("model")
    function = user_package(place / "src", name="rollpkg")
    return save(artifact_of(points, function), place / "model", points, package="rollpkg")


@pytest.fixture
def versions(bench, folder):
    """Three registered versions; the second serves in place of the first."""
    for number in ("1", "2", "3"):
        register(bench, folder, run=f"r{number}")
    move_champion(bench, MODEL, order("1", instead_of=None))
    move_champion(bench, MODEL, order("2", instead_of="1"))
    return bench
