"""A promotion in steps: a tag on the version says which share of the keys it answers."""

import json
from dataclasses import asdict, dataclass
from datetime import datetime

from mlops_dagster.clock import wall_now
from mlops_dagster.declaration import ModelIdentity, write_duration
from mlops_dagster.deploy.health import Health
from mlops_dagster.deploy.spec import CanarySpec
from mlops_dagster.records import CANARY_TAG
from mlops_dagster.stores.registry import ModelVersion
from mlops_dagster.workbench import Workbench


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Where a canary stands: the step's number from 0, its share, since when (ISO 8601), the verdict.

    `passed` is empty until the last step was well.
    """

    number: int
    share: float
    since: str
    passed: str = ""

    @property
    def began(self) -> datetime:
        """When this step began, by the wall clock."""
        return datetime.fromisoformat(self.since)


def step_of(version: ModelVersion) -> Step | None:
    """Read where a version's canary stands; None when it has none."""
    written = version.tags.get(CANARY_TAG, "")
    return Step(**json.loads(written)) if written else None


def set_step(bench: Workbench, model: ModelIdentity, version: str, step: Step) -> None:
    """Write where a canary stands; the endpoint's workers follow within a second."""
    bench.registry.set_tags(model.registered_name, version, {CANARY_TAG: json.dumps(asdict(step))})


def first_step(spec: CanarySpec) -> Step:
    """Begin."""
    return Step(number=0, share=spec.steps[0], since=wall_now().isoformat())


def next_step(step: Step, spec: CanarySpec, health: Health, *, now: datetime) -> Step | None:
    """Give the step after this one, once it was held long enough and is well; None: stay.

    After the last one it is the same step, passed.
    """
    if health.state != "well" or now - step.began < spec.hold:
        return None
    if step.number + 1 >= len(spec.steps):
        return Step(number=step.number, share=step.share, since=step.since, passed=health.because)
    return Step(number=step.number + 1, share=spec.steps[step.number + 1], since=now.isoformat())


def sentence(version: str, step: Step, spec: CanarySpec) -> str:
    """Say how far a canary is, and what comes next."""
    later = [f"{share:.0%}" for share in spec.steps[step.number + 1 :]]
    return (
        f"Version {version} answers {step.share:.0%} of the keys since {step.began:%Y-%m-%d %H:%M} UTC. "
        f"Each step is held {write_duration(spec.hold)}; then {', '.join([*later, 'all of them'])}."
    )
