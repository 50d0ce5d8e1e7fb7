"""What the page is made of: everything that is kept of the model's past, read from the stores."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mlops_dagster.metrics.losses import loss_name
from mlops_dagster.monitor.champion import serving_since
from mlops_dagster.monitor.due import DRIFT_SIGNALS
from mlops_dagster.monitor.evidence import Evidence
from mlops_dagster.monitor.history import read_newest
from mlops_dagster.monitor.looks import Look
from mlops_dagster.monitor.performance_show import SIGNALS
from mlops_dagster.monitor.spec import MonitorSpec
from mlops_dagster.profiles.reference import ReferenceProfile
from mlops_dagster.records import Check, Decision, Finding, Move
from mlops_dagster.stores.operations import FindingFilter
from mlops_dagster.workbench import StepContext

MOST_FINDINGS = 20_000
MOST_METRIC_WINDOWS = 300
MOST_DECISIONS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Current:
    """The newest judged window beside what the champion was fitted on."""

    reference: ReferenceProfile
    look: Look
    evidence: Evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of a model at one time. Findings and decisions come newest first.

    `history` has the rows of the table `performance` about whole windows, oldest first; `cut` tells
    that there are more findings of drift than were read.
    """

    address: str
    at: datetime
    run_id: str
    loss: str
    spec: MonitorSpec
    checks: Sequence[Check] = ()
    champion: str | None = None
    since: datetime | None = None
    drift: Sequence[Finding] = ()
    cut: bool = False
    performance: Sequence[Finding] = ()
    history: Sequence[dict[str, Any]] = ()
    moves: Sequence[Move] = ()
    decisions: Sequence[Decision] = ()
    current: Current | None = None


def read_facts(
    context: StepContext,
    spec: MonitorSpec,
    *,
    checks: Sequence[Check],
    champion: str | None,
    current: Current | None,
) -> Facts:
    """Read what is kept of the model's past. Raises: StoreError when a store does not answer."""
    model, operations = context.model, context.bench.operations
    name = (model.name, model.segment)
    drift = operations.newest_findings(
        *name, limit=MOST_FINDINGS, only=FindingFilter(signals=DRIFT_SIGNALS)
    )
    whole = FindingFilter(signals=frozenset(SIGNALS) - {"slice_performance", "slice_drift"})
    return Facts(
        address=model.address,
        at=context.at,
        run_id=context.run_id,
        loss=loss_name(model.task),
        spec=spec,
        checks=checks,
        champion=champion,
        since=serving_since(context, champion) if champion else None,
        drift=drift,
        cut=len(drift) == MOST_FINDINGS,
        performance=operations.newest_findings(*name, limit=MOST_FINDINGS, only=whole),
        history=read_newest(context, windows=MOST_METRIC_WINDOWS),
        moves=operations.moves(*name, state="done"),
        decisions=operations.decisions(*name, limit=MOST_DECISIONS),
        current=current,
    )
