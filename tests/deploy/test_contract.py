"""A version that wants more columns of the callers waits until somebody says that they send them."""

import itertools
from datetime import timedelta

import pytest

from mlops_dagster.cli.status_facts import challenger
from mlops_dagster.clock import wall_now
from mlops_dagster.deploy.approval import approve
from mlops_dagster.deploy.moves import champion_of
from mlops_dagster.deploy.run import run
from mlops_dagster.deploy.spec import DeploySpec
from mlops_dagster.records import WAITS_TAG, Outcome
from mlops_dagster.stores.registry import CHALLENGER
from tests.deploy.test_moves import registered, step
from tests.deploy.test_rollback import worker
from tests.scoring.models import MODEL, artifact_of, register, save, user_package

NUMBERS = itertools.count()


@pytest.fixture
def wider(versions, points, tmp_path):
    """Register version 4, which is given a column that version 2 does not know."""

    def registered_with(*, optional: bool = False):
        package = f"widerpkg{next(NUMBERS)}"
        artifact = artifact_of(points, user_package(tmp_path / package, name=package))
        artifact.inputs, artifact.numbers = [*artifact.inputs, "extra"], ["size", "extra"]
        folder = save(
            artifact, tmp_path / "model", points.assign(extra=1.0), package=package,
            optional=["extra"] if optional else [],
        )  # fmt: skip
        version = register(versions, folder, run="r4")
        versions.registry.set_alias(MODEL.registered_name, CHALLENGER, version)
        return registered(version, against="2")

    return registered_with


def test_a_version_that_wants_another_column_waits_while_an_endpoint_answers(versions, wider):
    worker(versions, "2")
    candidate = wider()
    waits = run(step(versions), DeploySpec(), candidate)
    assert (waits.outcome, champion_of(versions, MODEL)) == (Outcome.NOT_APPLICABLE, "2")
    assert "Callers must send 'extra' from version 4 on" in str(waits.waiting_for)
    assert "mlops-dagster approve parcels --version 4" in str(waits.waiting_for)
    told = challenger(versions, MODEL.name).text
    assert told.startswith(
        "version 4, waits for a person: mlops-dagster approve parcels --version 4"
    )
    assert told.endswith("so they may send it before.")
    approve(versions, MODEL, "4", who="ana", why="the client sends it")
    told = challenger(versions, MODEL.name).text
    assert told.endswith(
        "approved by ana, waits for deploy: mlops-dagster run parcels --job deploy"
    )
    worker(versions, "4")
    assert run(step(versions), DeploySpec(), candidate).version == "4"
    version = versions.registry.version(MODEL.registered_name, "4")
    assert WAITS_TAG not in version.tags
    assert versions.operations.moves(MODEL.name, "all", state="done")[-1].who == "ana"


def test_who_approves_by_hand_is_told_what_callers_must_send(versions, wider):
    worker(versions, "2", seen_at=wall_now() - timedelta(minutes=5))
    waits = run(step(versions), DeploySpec(promotion="manual"), wider())
    assert "Callers must send 'extra'" in str(waits.waiting_for)


def test_a_deployment_by_somebody_else_has_callers_always(versions, wider):
    foreign = DeploySpec.model_validate(
        {"target": {"kind": "mlflow", "uri": "loopback", "name": "parcels-live"}}
    )
    assert "Callers must send 'extra'" in str(run(step(versions), foreign, wider()).waiting_for)


def test_where_no_endpoint_answers_it_serves(versions, wider):
    assert run(step(versions), DeploySpec(), wider()).version == "4"


def test_a_column_that_may_be_left_out_is_nothing_to_wait_for(versions, wider):
    worker(versions, "4")
    assert run(step(versions), DeploySpec(), wider(optional=True)).version == "4"


def test_a_champion_whose_files_are_gone_holds_nothing_up(versions, wider):
    worker(versions, "4")
    candidate = wider()
    files = versions.registry.download(versions.registry.version(MODEL.registered_name, "2"))
    (files / "MLmodel").unlink()
    done = run(step(versions), DeploySpec(), candidate)
    assert done.version == "4"
    assert "What callers must send was not compared" in done.because
