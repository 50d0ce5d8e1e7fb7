"""Read from the stores what a decision needs. Dagster tells only which run is open."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from mlops_dagster.declaration import ModelIdentity
from mlops_dagster.records import (
    Decision,
    FeatureSet,
    Finding,
    Monitoring,
    Outcome,
    Snapshot,
    TrainedModel,
)
from mlops_dagster.retrain.arrivals import Arrival
from mlops_dagster.retrain.policy import WEEK, Situation
from mlops_dagster.retrain.spec import RetrainSpec
from mlops_dagster.stores.accepted import accepted_record
from mlops_dagster.stores.operations import FindingFilter
from mlops_dagster.stores.records import R
from mlops_dagster.stores.tables import BATCH, is_unknown
from mlops_dagster.workbench import Workbench


def read_situation(
    bench: Workbench, model: ModelIdentity, policy: RetrainSpec, *, open_run: str | None
) -> Situation:
    """Gather what `policy.decide` judges."""
    validated = accepted(bench, model, "validated_data", Snapshot)
    trained = accepted(bench, model, "trained_model", TrainedModel)
    now = bench.clock.now()
    champion = bench.operations.champion_at(model.name, model.segment, instant=now)
    asked = bench.operations.decisions(
        model.name, model.segment, action="retrain", limit=policy.most_per_week
    )
    times = [one.at for one in asked[:1]] + ([trained.made_at] if trained else [])
    return Situation(
        now=now,
        data_version=validated.data_version if validated else None,
        champion=champion.to_version if champion else None,
        champion_since=champion.at if champion else None,
        new_rows=new_labelled_rows(bench, model, validated, trained),
        last_retrain=max(times, default=None),
        open_run=open_run,
        findings=findings_since(
            bench, model, trained.made_at if trained else None, signals=signals_of(policy)
        ),
        retrains=tuple(one.at for one in asked if one.at > now - WEEK),
    )


def read_arrival(
    bench: Workbench,
    model: ModelIdentity,
    *,
    state: str | None,
    max_age: timedelta | None,
    open_run: str | None,
    sensor: str,
    took_in: Callable[[Decision], bool],
    succeeded: Callable[[str], bool],
) -> Arrival:
    """Gather what `arrivals.decide_update` judges. `took_in` tells what became of a decision's run.

    `succeeded` tells by its id whether a run reached its end.
    """
    raw = accepted(bench, model, "raw_data", Snapshot)
    asked = bench.operations.decisions(model.name, model.segment, action="update")
    about_state = [one for one in asked if mark_of(model, one).startswith("state:")]
    seen = next((one for one in about_state if took_in(one)), None)
    by_hand = (
        state is not None
        and raw is not None
        and raw.source_state == state
        # What became of a run that was asked for tells more.
        and not any(mark_of(model, one) == f"state:{state}" for one in about_state)
        and judged_whole(bench, model, raw)
        and succeeded(raw.run_id)
    )
    marks = [mark_of(model, one) for one in asked]
    overdue = [mark.removeprefix("overdue:") for mark in marks if mark.startswith("overdue:")]
    return Arrival(
        now=bench.clock.now(),
        state=state,
        seen=state if by_hand else mark_of(model, seen).removeprefix("state:") if seen else None,
        asked=state_tried(model, asked[:1], sensor=sensor),
        newest=raw.newest if raw else None,
        max_age=max_age,
        last_update=raw.made_at if raw else None,
        open_run=open_run,
        overdue_asked_for=overdue[0] if overdue else None,
    )


def judged_whole(bench: Workbench, model: ModelIdentity, raw: Snapshot) -> bool:
    """Tell whether the run that took rows in also validated them and looked at the model."""
    validated = accepted(bench, model, "validated_data", Snapshot)
    if validated is None or validated.through < raw.through:
        return False
    looked = bench.records.of_run(model.name, model.segment, "monitoring", raw.run_id, Monitoring)
    return looked is not None


def mark_of(model: ModelIdentity, decision: Decision) -> str:
    """Read what an update was asked for: `state:<state>` or `overdue:<mark>`."""
    return decision.run_key.removeprefix(f"update:{model.address}:")


def state_tried(model: ModelIdentity, newest: Sequence[Decision], *, sensor: str) -> str | None:
    """Tell the state that more attempts are made for: of the newest request, if it is the sensor's."""
    own = [mark_of(model, one) for one in newest if one.evidence.get("by") == sensor]
    states = [mark.removeprefix("state:") for mark in own if mark.startswith("state:")]
    return states[0] if states else None


def accepted(bench: Workbench, model: ModelIdentity, noun: str, kind: type[R]) -> R | None:
    """Read the accepted record of one of the model's nouns."""
    address = (model.name, model.segment, noun)
    return accepted_record(bench.records, bench.operations, address=address, kind=kind)


def new_labelled_rows(
    bench: Workbench, model: ModelIdentity, validated: Snapshot | None, trained: TrainedModel | None
) -> int:
    """Count the accepted rows with a known target that came, or changed, since the last training.

    Each row knows the batch that brought it; a snapshot is a batch of its own, all of it new.
    """
    if validated is None:
        return 0
    import pyarrow.compute as pc

    rows = bench.tables.dataset(validated.table.name, version=validated.table.version)
    labelled = ~is_unknown(rows.schema, model.target)
    if trained is None:
        return int(rows.count_rows(filter=labelled))
    if trained.source_digest == validated.table.digest:
        return 0
    through = batch_trained_on(bench, model, trained)
    if through is None or BATCH not in rows.schema.names:
        return max(int(rows.count_rows(filter=labelled)) - trained.features.rows, 0)
    return int(rows.count_rows(filter=labelled & (pc.field(BATCH) > through)))


def batch_trained_on(bench: Workbench, model: ModelIdentity, trained: TrainedModel) -> int | None:
    """Tell the last batch in the rows that a model was trained on; None where that is not known."""
    own = bench.records.of_run(model.name, model.segment, "features", trained.run_id, FeatureSet)
    features = own or accepted(bench, model, "features", FeatureSet)
    if features is None or features.table.digest != trained.features.digest:
        return None
    source = bench.tables.at(features.source.name, features.source.version)
    told = source.state.get("accepted_to")
    return int(told) if told else None


def signals_of(policy: RetrainSpec) -> frozenset[str]:
    """List the signals that the policy listens to."""
    drift = policy.drift_signals if "drift" in policy.triggers else ()
    others = {"performance": "performance", "failed_check": "failed_check"}
    return frozenset((*drift, *(others[one] for one in policy.triggers if one in others)))


def findings_since(
    bench: Workbench, model: ModelIdentity, since: datetime | None, *, signals: frozenset[str]
) -> tuple[Finding, ...]:
    """List what was found after an instant, oldest first: quiet windows count among the last ones."""
    if not signals:
        return ()
    found: list[Finding] = []
    # Apart, so that no number of quiet findings hides an alarm.
    for outcome in (Outcome.REFUSED, Outcome.PASSED):
        only = FindingFilter(signals=signals, outcome=outcome, since=since)
        newest = bench.operations.newest_findings(model.name, model.segment, only=only)
        found.extend(reversed(newest))
    return tuple(sorted(found, key=lambda one: one.at))
