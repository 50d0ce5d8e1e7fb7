"""Read from the stores what a decision needs. Dagster tells only which run is open."""

from datetime import datetime, timedelta

from mlops_dagster.declaration import ModelIdentity
from mlops_dagster.records import Finding, Snapshot, TrainedModel
from mlops_dagster.retrain.arrivals import Arrival
from mlops_dagster.retrain.policy import Situation
from mlops_dagster.stores.accepted import accepted_record
from mlops_dagster.stores.records import R
from mlops_dagster.workbench import Workbench


def read_situation(bench: Workbench, model: ModelIdentity, *, open_run: str | None) -> Situation:
    """Gather what `policy.decide` judges."""
    validated = accepted(bench, model, "validated_data", Snapshot)
    trained = accepted(bench, model, "trained_model", TrainedModel)
    now = bench.clock.now()
    champion = bench.operations.champion_at(model.name, model.segment, instant=now)
    asked = bench.operations.decisions(model.name, model.segment, action="retrain", limit=1)
    times = [one.at for one in asked] + ([trained.made_at] if trained else [])
    return Situation(
        now=now,
        data_version=validated.data_version if validated else None,
        champion=champion.to_version if champion else None,
        champion_since=champion.at if champion else None,
        new_rows=new_labelled_rows(bench, model, validated, trained),
        last_retrain=max(times, default=None),
        open_run=open_run,
        findings=findings_since(bench, model, trained.made_at if trained else None),
    )


def read_arrival(
    bench: Workbench,
    model: ModelIdentity,
    *,
    state: str | None,
    max_age: timedelta | None,
    open_run: str | None,
) -> Arrival:
    """Gather what `arrivals.decide_update` judges."""
    raw = accepted(bench, model, "raw_data", Snapshot)
    asked = bench.operations.decisions(model.name, model.segment, action="update")
    marks = [one.run_key.removeprefix(f"update:{model.address}:") for one in asked]
    states = [mark.removeprefix("state:") for mark in marks if mark.startswith("state:")]
    overdue = [mark.removeprefix("overdue:") for mark in marks if mark.startswith("overdue:")]
    return Arrival(
        now=bench.clock.now(),
        state=state,
        seen=states[0] if states else None,
        newest=raw.newest if raw else None,
        max_age=max_age,
        last_update=raw.made_at if raw else None,
        open_run=open_run,
        overdue_asked_for=overdue[0] if overdue else None,
    )


def accepted(bench: Workbench, model: ModelIdentity, noun: str, kind: type[R]) -> R | None:
    """Read the accepted record of one of the model's nouns."""
    address = (model.name, model.segment, noun)
    return accepted_record(bench.records, bench.operations, address=address, kind=kind)


def new_labelled_rows(
    bench: Workbench, model: ModelIdentity, validated: Snapshot | None, trained: TrainedModel | None
) -> int:
    """Count the accepted rows with a known target beyond those of the last training."""
    if validated is None:
        return 0
    import pyarrow.compute as pc

    rows = bench.tables.dataset(validated.table.name, version=validated.table.version)
    labelled = int(rows.count_rows(filter=pc.field(model.target).is_valid()))
    return max(labelled - (trained.features.rows if trained else 0), 0)


def findings_since(
    bench: Workbench, model: ModelIdentity, since: datetime | None
) -> tuple[Finding, ...]:
    """List the findings made after an instant."""
    found = bench.operations.findings(model.name, model.segment)
    return tuple(one for _, one in found if since is None or one.at > since)
