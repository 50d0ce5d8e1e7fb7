"""Experiment tracking in MLflow, through the client alone: the fluent state is global."""

import getpass
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import unquote, urlparse
from uuid import uuid4

from mlops_dagster.clock import wall_now
from mlops_dagster.declaration import registered_name
from mlops_dagster.errors import redact
from mlops_dagster.stores.mlflow_home import be_quiet, open_client, store_error
from mlops_dagster.stores.moved import is_left, where_now
from mlops_dagster.stores.operations import Operations
from mlops_dagster.stores.tracking import LoggedModel, RunOwner

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

OWNER = "mlops_dagster.owner"
MODEL = "mlops_dagster.model"
SEGMENT = "mlops_dagster.segment"
RUN = "dagster.run_id"
_UI = "http://127.0.0.1:5000"
TRAINING = "?workflowType=machine_learning"
"""Ends an address of MLflow's pages, which otherwise open in the mode of chats and prompts."""
_DIGEST = 36
_KIND = {"mlflow.experimentKind": "custom_model_development"}
"""MLflow's pages show the runs of an experiment of this kind as trainings, not as chats."""
_BATCH = {"metrics": 1_000, "params": 100, "tags": 100}


class MlflowTracking:
    """Keeps runs in MLflow: an embedded SQLite file, or any server or database it knows."""

    def __init__(
        self,
        address: str,
        *,
        artifacts: str,
        operations: Operations,
        ui: str = "",
    ) -> None:
        self._address = address
        self._artifacts = artifacts
        self._operations = operations
        self._ui = (ui or pages_of(address) or _UI).rstrip("/")

    @property
    def address(self) -> str:
        """The tracking address, without secrets."""
        return redact(self._address)

    def run_of(self, owner: RunOwner) -> str:
        """Find the owner's run, or start it; a run that had ended is running again. Under a lock."""
        name = owner_name(owner)
        with (
            self._operations.hold(f"lock:mlflow:{name}", holder=f"{owner.run_id} {uuid4().hex}"),
            self._client() as client,
        ):
            experiment = self._experiment(client, owner)
            found = client.search_runs([experiment], f"tags.`{OWNER}` = '{name}'", max_results=1)
            if found:
                run_id = found[0].info.run_id
                client.update_run(run_id, status="RUNNING")
                client.set_tag(run_id, RUN, owner.run_id)
                return str(run_id)
            made = client.create_run(experiment, tags=_tags(owner, name), run_name=_run_name(owner))
            return str(made.info.run_id)

    def log(
        self,
        run_id: str,
        *,
        params: Mapping[str, str] | None = None,
        metrics: Mapping[str, float] | None = None,
        tags: Mapping[str, str] | None = None,
        model_id: str | None = None,
    ) -> None:
        """Write all of it in one request. A parameter that is there with another value is kept as a tag."""
        from mlflow.entities import Metric, Param, RunTag

        now = int(wall_now().timestamp() * 1000)
        with self._client() as client:
            known = client.get_run(run_id).data.params if params else {}
            fresh, changed = split_params(params or {}, known)
            entries: dict[str, list[Any]] = {
                "metrics": [
                    Metric(key, float(value), now, 0, model_id=model_id)
                    for key, value in (metrics or {}).items()
                ],
                "params": [Param(key, value) for key, value in fresh.items()],
                "tags": [RunTag(key, value) for key, value in {**(tags or {}), **changed}.items()],
            }
            for part in in_batches(entries):
                client.log_batch(run_id, **part)

    def log_dataset(
        self, run_id: str, *, name: str, digest: str, source: str, rows: int, context: str
    ) -> None:
        """Note which rows the run used; `digest` is the full data version."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        # MLflow refuses a digest of more than 36 characters, so the tag carries the whole.
        dataset = Dataset(
            name=name,
            digest=digest[-_DIGEST:],
            source_type="delta",
            source=f'{{"uri": "{source}"}}',
            profile=f'{{"num_rows": {rows}}}',
        )
        tags = [
            InputTag("mlflow.data.context", context),
            InputTag("mlops_dagster.data_version", digest),
        ]
        with self._client() as client:
            client.log_inputs(run_id, [DatasetInput(dataset, tags)])

    def log_files(self, run_id: str, folder: Path, *, under: str = "") -> None:
        """Keep every file of a folder with the run."""
        with self._client() as client:
            client.log_artifacts(run_id, str(folder), artifact_path=under or None)

    def log_text(self, run_id: str, text: str, *, path: str) -> None:
        """Keep one text file with the run."""
        with self._client() as client:
            client.log_text(run_id, text, path)

    def log_model(self, run_id: str, folder: Path, *, name: str) -> LoggedModel:
        """Keep a saved MLflow model folder, in status READY, with the run."""
        from mlflow.entities import LoggedModelOutput

        with self._client() as client:
            experiment = client.get_run(run_id).info.experiment_id
            model = client.create_logged_model(experiment, name=name, source_run_id=run_id)
            client.log_model_artifacts(model.model_id, str(folder))
            client.finalize_logged_model(model.model_id, "READY")
            client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])
        # `models:/m-...` is looked up through the global tracking address; the location is not.
        return LoggedModel(
            model_id=str(model.model_id),
            uri=str(model.artifact_location),
            load_uri=f"models:/{model.model_id}",
        )

    def has_model(self, run_id: str, *, model_id: str) -> bool:
        """Tell whether a run and the model logged with it are there, and not deleted."""
        from mlflow.exceptions import MlflowException

        with self._client() as client:
            try:
                client.get_logged_model(model_id)
                return bool(client.get_run(run_id).info.lifecycle_stage == "active")
            except MlflowException as error:
                if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                    return False
                raise

    def download(self, uri: str) -> Path:
        """Fetch a logged model's files; a local location is not copied, and may be of a moved home."""
        local = local_path(uri)
        if local is not None:
            return where_now(local, artifacts=self._artifacts)
        from mlflow.artifacts import download_artifacts

        with self._client():
            return Path(download_artifacts(artifact_uri=uri, tracking_uri=self._address))

    def end(self, run_id: str, *, status: Literal["FINISHED", "FAILED", "KILLED"]) -> None:
        """End a run."""
        with self._client() as client:
            client.set_terminated(run_id, status=status)

    def reconcile(
        self, model: str, segment: str, *, is_open: Callable[[str], bool]
    ) -> Sequence[str]:
        """End as KILLED every RUNNING run whose Dagster run is not open any more; tell which."""
        with self._client() as client:
            experiment = client.get_experiment_by_name(registered_name(model, segment=segment))
            if experiment is None:
                return []
            running = client.search_runs(
                [experiment.experiment_id], "attributes.status = 'RUNNING'", max_results=1_000
            )
            dead = [run.info.run_id for run in running if not is_open(run.data.tags.get(RUN, ""))]
            for run_id in dead:
                client.set_terminated(run_id, status="KILLED")
        return dead

    def run_url(self, run_id: str, *, file: str = "") -> str:
        """Where a person sees the run, or one of its files: on the server, else in the local UI."""
        with self._client() as client:
            experiment = client.get_run(run_id).info.experiment_id
        place = f"/artifactPath/{file}" if file else ""
        return f"{self._ui}/#/experiments/{experiment}/runs/{run_id}{place}{TRAINING}"

    def _experiment(self, client: "MlflowClient", owner: RunOwner) -> str:
        name = registered_name(owner.model, segment=owner.segment)
        place = f"{self._artifacts}/{name}" if self._artifacts else None
        found = client.get_experiment_by_name(name)
        if found is not None and place and is_left(found.artifact_location, place=place):
            # MLflow would make the old home again: what is new goes to where an experiment was made.
            old = f"{name} (made at {found.artifact_location})"
            client.rename_experiment(found.experiment_id, old)
        elif found is not None:
            return str(found.experiment_id)
        return str(client.create_experiment(name, artifact_location=place, tags=_KIND))

    @contextmanager
    def _client(self) -> Iterator["MlflowClient"]:
        with mlflow_client("tracking", self._address, self._operations) as client:
            yield client


@contextmanager
def mlflow_client(store: str, address: str, operations: Operations) -> Iterator["MlflowClient"]:
    """Use a client; what MLflow, its database or its transport says becomes a StoreError."""
    from sqlalchemy.exc import SQLAlchemyError

    be_quiet()
    from mlflow.exceptions import MlflowException

    try:
        # mypy asks a protocol for a hash; every store has one, by identity.
        yield open_client(address, operations)  # type: ignore[arg-type]
    except (MlflowException, SQLAlchemyError, OSError) as error:
        # What MLflow said may quote the address, password and all.
        cause = error if redact(address) == address else None
        raise store_error(store, address, error) from cause


def owner_name(owner: RunOwner) -> str:
    """Name the run of an owner: the same for a retry and a re-execution from failure."""
    parts = [owner.root_run_id, owner.model, owner.segment, owner.partition]
    return "/".join(part for part in parts if part)


def split_params(
    wanted: Mapping[str, str], known: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, str]]:
    """Tell new parameters from changed ones, which MLflow would refuse: those become tags."""
    fresh = {key: value for key, value in wanted.items() if key not in known}
    changed = {
        f"param_conflict.{key}": value
        for key, value in wanted.items()
        if key in known and known[key] != value
    }
    return fresh, changed


def in_batches(entries: Mapping[str, list[Any]]) -> Iterator[dict[str, list[Any]]]:
    """Cut what is to be logged at MLflow's limits for one request."""
    step = 0
    while step == 0 or any(values[step * _BATCH[kind] :] for kind, values in entries.items()):
        yield {
            kind: values[step * _BATCH[kind] : (step + 1) * _BATCH[kind]]
            for kind, values in entries.items()
        }
        step += 1


def pages_of(address: str) -> str:
    """Name where a server's pages are, without its secrets; empty when the address is no server's."""
    return redact(address).partition("?")[0].rstrip("/") if address.startswith("http") else ""


def local_path(uri: str) -> Path | None:
    """Read an address as a local folder, if it is one."""
    parsed = urlparse(uri)
    if parsed.scheme in {"", "file"}:
        return Path(unquote(parsed.path))
    return None


def _tags(owner: RunOwner, name: str) -> dict[str, str]:
    return {
        OWNER: name,
        MODEL: owner.model,
        SEGMENT: owner.segment,
        RUN: owner.run_id,
        "dagster.root_run_id": owner.root_run_id,
        "dagster.url": owner.dagster_url,
        "mlflow.user": getpass.getuser(),
        "mlflow.source.name": f"dagster:{owner.model}",
        "mlflow.source.type": "JOB",
    }


def _run_name(owner: RunOwner) -> str:
    where = owner.model if owner.segment == "all" else f"{owner.model}/{owner.segment}"
    return f"{where} {owner.root_run_id[:8]}"
