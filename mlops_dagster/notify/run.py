"""Keeps incidents up to date, and tells people what they do not know yet."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from mlops_dagster.clock import wall_now
from mlops_dagster.declaration import ModelIdentity
from mlops_dagster.errors import MlopsError, StoreError
from mlops_dagster.notify.channels import send
from mlops_dagster.notify.endpoint import ENDPOINT_DOWN, PATIENCE, endpoint_sighting
from mlops_dagster.notify.incidents import Sighting, overdue, sightings
from mlops_dagster.notify.messages import Message, message_of
from mlops_dagster.notify.spec import Channel, NotifySpec
from mlops_dagster.records import NOUNS, Finding
from mlops_dagster.stores.accepted import accepted_record
from mlops_dagster.stores.incidents import Incident
from mlops_dagster.stores.operations import REMEMBERED, FindingFilter
from mlops_dagster.stores.registry import CHAMPION
from mlops_dagster.workbench import Workbench

_LOG = logging.getLogger(__name__)
MOST = 1_000
FOUND = (
    "data_age",
    "model_age",
    "feature_drift",
    "prediction_drift",
    "performance",
    "slice_performance",
    "slice_drift",
    "estimated_performance",
    "endpoint_health",
    "feature_skew",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One model whose people are to be told. `silence` is the longest time without a look."""

    model: ModelIdentity
    spec: NotifySpec
    silence: timedelta | None


def watch(bench: Workbench, one: Told) -> None:
    """Open an incident for what is wrong now, and close those that are over."""
    now, store = bench.clock.now(), bench.operations.incidents
    address = (one.model.name, one.model.segment)
    for sight in seen(bench, one, now=now):
        if sight.kind not in one.spec.signals or sight.wrong is None:
            continue
        change = store.open if sight.wrong else store.close
        change(*address, sight.kind, because=sight.because, at=now)


def seen(bench: Workbench, one: Told, *, now: datetime) -> Iterator[Sighting]:
    """Look at what was found last, at failed checks, and at when anybody looked."""
    for signal in FOUND:
        yield from sightings(found(bench, one.model, signal), (signal,))
    checks = found(bench, one.model, "failed_check", "refused_data")
    failed = [replace(check, signal="failed_check") for check in checks]
    for sight in sightings(failed, ("failed_check",)):
        yield replace(sight, wrong=any(not is_mended(bench, check) for check in failed))
    looks = [look.at for look in found(bench, one.model, "data_age")]
    yield endpoint(bench, one.model)
    late = overdue(max(looks, default=None), now=now, limit=one.silence)
    if late:
        yield late


def endpoint(bench: Workbench, model: ModelIdentity) -> Sighting:
    """Look at the endpoint's workers. Without the registry nobody knows what should serve."""
    now = wall_now()
    workers = bench.operations.workers(model.name, model.segment, since=now - REMEMBERED)
    try:
        champion = bench.registry.by_alias(model.registered_name, CHAMPION) if workers else None
    except StoreError as error:
        _LOG.warning("%s: what should serve is not known: %s", model.address, error)
        champion = None
    return endpoint_sighting(workers, serves=champion.version if champion else None, now=now)


def found(bench: Workbench, model: ModelIdentity, *signals: str) -> list[Finding]:
    """Read the newest findings of some signals."""
    only = FindingFilter(signals=frozenset(signals))
    return bench.operations.newest_findings(model.name, model.segment, limit=MOST, only=only)


def is_mended(bench: Workbench, check: Finding) -> bool:
    """Tell whether data was accepted after a check of it failed."""
    noun = check.subject.partition(".")[0]
    if noun not in NOUNS:
        return False
    address = (check.model, check.segment, noun)
    record = accepted_record(bench.records, bench.operations, address=address, kind=NOUNS[noun])
    return record is not None and record.made_at > check.at


def deliver(bench: Workbench, one: Told) -> list[str]:
    """Send what people do not know yet. Gives a sentence for each message that was not taken.

    Such a message is sent again by the next call; the channels that took it get it twice then.
    """
    model, store = one.model, bench.operations.incidents
    problems = []
    # Two processes that deliver at once would tell everything twice.
    with bench.operations.hold(f"lock:{model.address}/notify", holder="notify"):
        for incident in store.untold(model.name, model.segment):
            if is_young(bench, incident):
                continue
            message = written(bench, one, incident)
            failed = [said for channel in one.spec.channels if (said := _try(channel, message))]
            if not failed:
                store.told(incident, state=message.state)
            problems += failed
    return problems


def is_young(bench: Workbench, incident: Incident) -> bool:
    """Tell whether an incident may be over by itself in a moment."""
    since = bench.clock.now() - incident.opened_at
    return incident.kind == ENDPOINT_DOWN and incident.closed_at is None and since < PATIENCE


def _try(channel: Channel, message: Message) -> str:
    try:
        send(channel, message)
    except MlopsError as error:
        # One channel that is down must not silence the others.
        _LOG.warning("%s: not told: %s", message.title, error)
        return str(error)
    return ""


def written(bench: Workbench, one: Told, incident: Incident) -> Message:
    """Write an incident's message."""
    return message_of(
        one.model,
        incident=incident.id,
        kind=incident.kind,
        because=incident.because,
        serving=serving_sentence(bench, one.model),
        runbook=one.spec.runbook,
        at=incident.closed_at or incident.opened_at,
        over=incident.closed_at is not None,
    )


def serving_sentence(bench: Workbench, model: ModelIdentity) -> str:
    """Say which version serves, by the ledger."""
    now = bench.clock.now()
    move = bench.operations.champion_at(model.name, model.segment, instant=now)
    if move is None or move.to_version is None:
        return "No version serves."
    return f"Version {move.to_version} serves, since {move.at:%Y-%m-%d %H:%M} UTC."
