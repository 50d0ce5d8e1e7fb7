"""Where the champion answers: the endpoint of this package, or a deployment by MLflow."""

import os
from dataclasses import dataclass
from datetime import timedelta

from mlops_dagster.declaration import ModelIdentity
from mlops_dagster.deploy.moves import champion_of
from mlops_dagster.deploy.rollback import await_workers, workers_of
from mlops_dagster.deploy.spec import DeploySpec, MlflowTarget
from mlops_dagster.errors import SpecError, StoreError
from mlops_dagster.stores.mlflow_target import MlflowDeployment
from mlops_dagster.stores.registry import ModelVersion
from mlops_dagster.stores.targets import Target
from mlops_dagster.workbench import Workbench


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalEndpoint:
    """The endpoint's workers. They look at the alias themselves, so it is only waited for them."""

    bench: Workbench
    model: ModelIdentity

    def follow(self, version: ModelVersion, *, within: timedelta) -> str:
        """Wait until every worker answers from the version that the alias names."""
        alias = champion_of(self.bench, self.model)
        if alias != version.version:
            message = (
                f"{self.model.address}: the endpoint follows the alias champion, which names "
                f"{alias or 'nothing'} and not {version.version}. Move the alias first."
            )
            raise StoreError(message)
        workers = await_workers(self.bench, self.model, version.version, within=within)
        if not workers:
            return "No endpoint runs; batch scoring uses it from now on."
        return f"All {len(workers)} workers of the endpoint answer from it."

    def withdraw(self, version: ModelVersion) -> str:  # noqa: ARG002 - the alias says it all
        """Do nothing: without the alias the endpoint has nothing to load."""
        return "The endpoint has no version to follow."

    def live(self) -> str | None:
        """Tell the version that all workers agree on; without workers, the alias."""
        told = {one.version for one in workers_of(self.bench, self.model)}
        if not told:
            return champion_of(self.bench, self.model)
        return told.pop() if len(told) == 1 else None


def target_of(bench: Workbench, model: ModelIdentity, spec: DeploySpec) -> Target:
    """Open the target that is declared. Raises: SpecError for a variable that is not set."""
    if not isinstance(spec.target, MlflowTarget):
        return LocalEndpoint(bench=bench, model=model)
    return MlflowDeployment(
        spec.target.uri,
        name=spec.target.name,
        registry=bench.mlflow_address,
        model=model.registered_name,
        config=spec.target.config,
        secrets=secrets_of(spec.target),
    )


def secrets_of(target: MlflowTarget) -> dict[str, str]:
    """Read the settings that stand in environment variables."""
    unset = [name for name in target.config_from.values() if not os.environ.get(name)]
    if unset:
        message = (
            f"deploy.target.config_from names the environment variable {unset[0]}, which is empty. "
            "Set it where the deployment runs."
        )
        raise SpecError(message)
    return {key: os.environ[name] for key, name in target.config_from.items()}
