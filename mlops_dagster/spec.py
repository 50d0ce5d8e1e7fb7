"""`LifecycleSpec`: the declaration of one model, and the cross-checks between its rooms."""

from datetime import timedelta
from typing import Literal, Self

from pydantic import Field, model_validator

from mlops_dagster.declaration import Duration, ModelIdentity, Spec, Task
from mlops_dagster.deploy.spec import DeploySpec
from mlops_dagster.errors import SpecError, nearest
from mlops_dagster.evaluate.spec import EvaluateSpec
from mlops_dagster.features.spec import FeaturesSpec
from mlops_dagster.ingest.spec import IngestSpec, LabelsSpec
from mlops_dagster.metrics.quality import METRICS, metrics_for
from mlops_dagster.monitor.spec import MonitorSpec
from mlops_dagster.notify.spec import NotifySpec
from mlops_dagster.retrain.spec import RetrainSpec
from mlops_dagster.serve.spec import ServeSpec
from mlops_dagster.train.spec import TrainSpec
from mlops_dagster.validate.spec import ValidateSpec

JobName = Literal["lifecycle", "update", "retrain", "score", "monitor"]


class AutomationSpec(Spec):
    """How often the sensors look, and whether they are on when a location is first loaded."""

    sensors: Literal["stopped", "running"] = Field(
        default="stopped",
        description="On or off at first load; MLOPS_SENSORS=running turns all on, as `make dev` does.",
    )
    every: Duration = Field(
        default=timedelta(seconds=30), description="Time between two looks of a sensor."
    )


class WatchSpec(MonitorSpec):
    """What is watched once a model serves, and where labels come from."""

    labels: LabelsSpec | None = Field(
        default=None,
        description="Labels that come by themselves; those in the rows and as feedback always count.",
    )


# Pydantic takes the setting of the outermost model: a password must not reach a traceback.
class LifecycleSpec(ModelIdentity, hide_input_in_errors=True):
    """One declaration of a model: who it is, and one section for each room of its life."""

    ingest: IngestSpec = Field(description="Where rows come from.")
    validate_: ValidateSpec = Field(
        default_factory=ValidateSpec, alias="validate", description="What rows must hold."
    )
    features: FeaturesSpec = Field(
        default_factory=FeaturesSpec, description="What the model is given."
    )
    train: TrainSpec = Field(description="What is fitted, and on which rows.")
    evaluate: EvaluateSpec = Field(
        default_factory=EvaluateSpec, description="What a candidate is measured by and must reach."
    )
    deploy: DeploySpec = Field(default_factory=DeploySpec, description="Who lets a version serve.")
    serve: ServeSpec = Field(default_factory=ServeSpec, description="How rows are scored.")
    monitor: WatchSpec = Field(
        default_factory=WatchSpec, description="What is watched once a model serves."
    )
    retrain: RetrainSpec = Field(default_factory=RetrainSpec, description="When to train again.")
    notify: NotifySpec = Field(
        default_factory=NotifySpec, description="Who is told when something is wrong."
    )
    schedules: dict[JobName, str] = Field(
        default_factory=dict, description="A cron line (UTC) per job."
    )
    automation: AutomationSpec = Field(
        default_factory=AutomationSpec, description="How the sensors run."
    )

    @property
    def identity(self) -> ModelIdentity:
        """What every room may know of the model."""
        return ModelIdentity(**{name: getattr(self, name) for name in ModelIdentity.model_fields})

    @property
    def sliced(self) -> tuple[str, ...]:
        """The columns whose values are measured apart, when it is judged or when it is watched."""
        watched = self.monitor.performance.slices if self.monitor.performance else ()
        return tuple(dict.fromkeys((*self.evaluate.slices, *watched)))

    @property
    def watched(self) -> MonitorSpec:
        """What is watched; metrics, slices and worth that are not named are those of `evaluate`."""
        own, judged = self.monitor, self.evaluate
        performance = own.performance and own.performance.model_copy(
            update={
                "metrics": own.performance.metrics
                or (*(judged.metrics or metrics_for(self.task)), *judged.own_metrics),
                "slices": own.performance.slices or judged.slices,
                "business": own.performance.business or judged.business,
            }
        )
        return MonitorSpec(
            freshness=own.freshness, drift=own.drift, performance=performance, skew=own.skew
        )

    @property
    def losses(self) -> tuple[str, ...]:
        """Say what a model without key, event time, cursor or gates cannot do, one sentence each."""
        lost = []
        if not self.key:
            lost.append(
                "no key: late or corrected rows are not recognised, "
                + ("rows are only added." if self.ingest.cursor else "the table is one snapshot.")
            )
        if self.event_time is None:
            lost.append("no event_time: splits are random, windows are by arrival.")
        if self.evaluate.gates == ():
            lost.append("evaluate.gates is empty: every candidate is accepted, even a worse one.")
        return tuple(lost)

    @model_validator(mode="after")
    def _rooms_agree(self) -> Self:
        problems = (*self._column_problems(), *self._metric_problems(), *self._time_problems())
        for problem in problems:
            # Raised as ValueError so that pydantic gathers it with the field errors.
            raise ValueError(problem)
        return self

    def _column_problems(self) -> list[str]:
        named = {
            "key": self.key,
            "event_time": (self.event_time,),
            "features.columns": self.features.columns or (),
        }
        return [
            f"{where}: {self.target!r} is the target, which is unknown when a row is scored. "
            "Name another column."
            for where, columns in named.items()
            if self.target in columns
        ]

    def _metric_problems(self) -> list[str]:
        known = sorted([*metrics_for(self.task), *self.evaluate.own_metrics])
        asked = [("evaluate.metrics", name) for name in self.evaluate.metrics or ()]
        asked += [
            (f"evaluate.gates[{at}].metric", gate.metric)
            for at, gate in enumerate(self.evaluate.gates or ())
        ]
        watched = self.monitor.performance.metrics if self.monitor.performance else ()
        asked += [("monitor.performance.metrics", name) for name in watched]
        return self._business_problems() + [
            f"{where}: {name!r} is not {'computed for ' + self.task if name in METRICS else 'known'}. "
            + nearest(name, known)
            for where, name in asked
            if name not in known
        ]

    def _business_problems(self) -> list[str]:
        business = self.evaluate.business
        if business and business.function is None and self.task is not Task.BINARY:
            return [
                f"evaluate.business: {self.task} needs a function; four values are of two labels."
            ]
        if self.train.threshold != 0.5 and self.task is not Task.BINARY:
            return [f"train.threshold: it chooses between two labels, and this is {self.task}."]
        return []

    def _time_problems(self) -> list[str]:
        problems = []
        if self.train.split is not None and self.train.split.kind == "time" and not self.event_time:
            problems.append("train.split: 'time' needs event_time. Declare it, or use 'random'.")
        if self.train.window is not None and not self.event_time:
            problems.append(
                "train.window: which rows are the newest is told by event_time. Declare it, or leave "
                "window out to learn from all rows."
            )
        if self.ingest.lookback and not self.key:
            problems.append("ingest.lookback: rows read again are only recognised by a key.")
        labels = self.monitor.labels
        if labels is not None and not (labels.prediction_id or labels.key or self.key):
            problems.append(
                "monitor.labels: nothing joins a label to its prediction. Name its prediction_id, or "
                "declare the model's key."
            )
        joined_by_time = [name for name, one in self.ingest.lookups.items() if one.event_time]
        if joined_by_time and not self.event_time:
            problems.append(
                f"ingest.lookups.{joined_by_time[0]}: joined as known at a row's time, so the model "
                "needs event_time."
            )
        return problems


__all__ = ["AutomationSpec", "JobName", "LifecycleSpec", "SpecError"]
