"""What the stores know of a model: what serves, what answers, what waits, what was taken in and found."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from mlops_dagster.cli.model_argument import registry_name, split_name
from mlops_dagster.records import BARRED_TAG, JSON, OUTCOME_TAG, WAITS_TAG, Outcome

if TYPE_CHECKING:
    from mlops_dagster.records import Check
    from mlops_dagster.stores.operations import Worker
    from mlops_dagster.workbench import Workbench


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One line of the status: `text` for people, `values` for programs."""

    label: str
    text: str
    values: Mapping[str, JSON] = field(default_factory=dict)


def facts(bench: "Workbench", model: str) -> Iterator[Fact]:
    """List what the stores know of a model."""
    yield Fact(label="model", text=model, values={"name": model})
    yield champion(bench, model)
    yield endpoint(bench, model)
    yield challenger(bench, model)
    yield data_taken_in(bench, model)
    yield from waiting_in_quarantine(bench, model)
    yield evaluation(bench, model)
    yield from findings(bench, model)


def minute(at: datetime) -> str:
    """Write an instant for people, in UTC."""
    return f"{at:%Y-%m-%d %H:%M}"


def by(who: str) -> str:
    """Write who did something: a run by the short form of its id, as Dagster shows it."""
    return who[: len("run ") + 8] if who.startswith("run ") else who


def champion(bench: "Workbench", model: str) -> Fact:
    """Say which version serves, since when, who put it there and why."""
    from mlops_dagster.deploy.moves import changes

    version = bench.registry.by_alias(registry_name(model), "champion")
    if version is None:
        return Fact(label="champion", text="none: no version is live", values={"version": None})
    moves = changes(bench.operations, *split_name(model))
    if not moves or moves[-1].to_version != version.version:
        text = f"version {version.version}; the alias was moved outside of this package"
        return Fact(label="champion", text=text, values={"version": version.version})
    last = moves[-1]
    return Fact(
        label="champion",
        text=f"version {version.version}, since {minute(last.at)} by {by(last.who)}: {last.why}",
        values={
            "version": version.version,
            "since": last.at.isoformat(),
            "by": last.who,
            "kind": last.kind,
            "why": last.why,
        },
    )


def endpoint(bench: "Workbench", model: str) -> Fact:
    """Compare what should serve with what the endpoint's workers answer from."""
    from mlops_dagster.clock import wall_now
    from mlops_dagster.stores.operations import ALIVE, REMEMBERED

    now, version = wall_now(), bench.registry.by_alias(registry_name(model), "champion")
    told = bench.operations.workers(*split_name(model), since=now - REMEMBERED)
    alive = [one for one in told if now - one.seen_at <= ALIVE]
    silent = [one for one in told if one not in alive]
    wanted = version.version if version else None
    return Fact(
        label="endpoint",
        text=endpoint_text(wanted, alive, silent, model=model),
        values={
            "should_serve": wanted,
            "workers": [worker_values(one, alive=one in alive) for one in told],
        },
    )


def endpoint_text(
    wanted: str | None, alive: "list[Worker]", silent: "list[Worker]", *, model: str
) -> str:
    """Say in words whether the workers answer from the version that should serve."""
    lost = "".join(
        f"; {one.address} (process {one.pid}) is silent since {minute(one.seen_at)}"
        for one in silent
    )
    if not alive and wanted is None:
        return f"no version is live, and no worker answers{lost}"
    if not alive:
        return f"no worker answers{lost}; start one: mlops-dagster serve {model}"
    right = [one for one in alive if one.version == wanted]
    verb = "answers" if len(right) == 1 else "answer"
    should = f"version {wanted}" if wanted else "no version"
    others = "".join(
        f"; {one.address} (process {one.pid}) answers from version {one.version or 'none'}"
        + (f": {one.problem}" if one.problem else "")
        for one in alive
        if one not in right
    )
    return (
        f"{should} should serve; {len(right)} of {len(alive)} workers {verb} from it{others}{lost}"
    )


def worker_values(worker: "Worker", *, alive: bool) -> JSON:
    """Write a worker for programs."""
    return {
        "address": worker.address,
        "pid": worker.pid,
        "version": worker.version,
        "problem": worker.problem,
        "seen_at": worker.seen_at.isoformat(),
        "alive": alive,
    }


def challenger(bench: "Workbench", model: str) -> Fact:
    """Say which version does not serve yet, and what it waits for; the champion is none."""
    from mlops_dagster.deploy.approval import word_on
    from mlops_dagster.deploy.canary import step_of

    name = registry_name(model)
    version, serving = (bench.registry.by_alias(name, one) for one in ("challenger", "champion"))
    if version is None or (serving and serving.version == version.version):
        return Fact(label="challenger", text="none", values={"version": None})
    state, word = word_on(version)
    step, barred = step_of(version), version.tags.get(BARRED_TAG, "")
    part = f", answers {step.share:.0%} of the keys since {minute(step.began)}" if step else ""
    put_back = f", was rolled back: {barred}" if barred else ""
    approve = f'mlops-dagster approve {model} --version {version.version} --why "..."'
    deploy = f"mlops-dagster run {model} --job deploy"
    held, waits = version.tags.get(WAITS_TAG, ""), ""
    if state == "approved":
        waits = f", approved by {word.who or 'a tag in MLflow'}, waits for deploy: {deploy}"
    elif state == "pending" or held:
        waits = f", waits for a person: {approve}" + (f". {held}" if held else "")
    return Fact(
        label="challenger",
        text=f"version {version.version}{part}{put_back}{waits}",
        values={
            "version": version.version,
            "approval": state,
            "by": word.who,
            "why": word.why,
            "canary_share": step.share if step else None,
            "barred": barred or None,
            "held": held or None,
        },
    )


def data_taken_in(bench: "Workbench", model: str) -> Fact:
    """Say how much data was accepted and how new it is, and whether newer rows were not accepted."""
    from mlops_dagster.records import Snapshot
    from mlops_dagster.stores.accepted import accepted_record

    raw, valid = (
        accepted_record(
            bench.records, bench.operations, address=(*split_name(model), noun), kind=Snapshot
        )
        for noun in ("raw_data", "validated_data")
    )
    if valid is None:
        text = "none accepted yet; the job `lifecycle` or `update` takes it in"
        return Fact(label="data", text=text, values={"rows": 0})
    newest = f", newest row {minute(valid.newest)}" if valid.newest else ""
    behind = raw is not None and raw.through > valid.through
    text = f"{valid.table.rows:,} rows{newest}, accepted {minute(valid.made_at)}"
    if raw is not None and behind:
        text += f"; rows taken in {minute(raw.made_at)} were not accepted"
    return Fact(
        label="data",
        text=text,
        values={
            "rows": valid.table.rows,
            "newest": valid.newest.isoformat() if valid.newest else None,
            "accepted_at": valid.made_at.isoformat(),
            "newer_rows_not_accepted": behind,
        },
    )


def waiting_in_quarantine(bench: "Workbench", model: str) -> Iterator[Fact]:
    """Say how many refused rows wait; nothing when none does."""
    from mlops_dagster.stores.held_rows import waiting_rows

    rows = waiting_rows(bench.tables, "/".join(split_name(model))).num_rows
    if rows:
        see = f"mlops-dagster quarantine list {model}"
        text = f"{rows:,} rows wait in quarantine; see {see}"
        yield Fact(label="quarantine", text=text, values={"rows": rows})


def evaluation(bench: "Workbench", model: str) -> Fact:
    """Say how the last candidate was judged: every one is registered, a refused one too."""
    versions = bench.registry.versions(registry_name(model))
    if not versions:
        return Fact(label="evaluation", text="none yet", values={"version": None})
    last = versions[0]
    outcome = last.tags.get(OUTCOME_TAG, "not judged")
    because = last.tags.get("mlops_dagster.because", "")
    return Fact(
        label="evaluation",
        text=f"version {last.version} {outcome}: {because}",
        values={"version": last.version, "outcome": outcome, "because": because},
    )


def findings(bench: "Workbench", model: str) -> Iterator[Fact]:
    """Say what the last look at the model found, by the checks that its page and Dagster show."""
    from mlops_dagster.records import Monitoring
    from mlops_dagster.stores.accepted import accepted_record

    address = (*split_name(model), "monitoring")
    look = accepted_record(bench.records, bench.operations, address=address, kind=Monitoring)
    if look is None:
        yield Fact(label="findings", text="none yet; the job `monitor` looks for them")
        return
    over = [one for one in look.checks if one.outcome is Outcome.REFUSED]
    yield Fact(
        label="findings",
        text=f"{minute(look.made_at)}  {findings_text(look.checks)}",
        values={"at": look.made_at.isoformat(), "looks": len(look.checks), "alarms": len(over)},
    )
    for one in over:
        yield Fact(
            label="finding",
            text=f"{one.name}: {one.because}",
            values={"check": one.name, "because": one.because},
        )


def findings_text(checks: Sequence["Check"]) -> str:
    """Count checks by outcome. One that could not be judged is no pass, and its reason is told."""
    counts = Counter(one.outcome for one in checks)
    told = f"{counts[Outcome.REFUSED]} over the limit, {counts[Outcome.PASSED]} within it"
    unknown = [one for one in checks if one.outcome is Outcome.NOT_APPLICABLE]
    if not unknown:
        return told
    return f"{told}, {len(unknown)} could not be judged, such as {unknown[0].name}: {unknown[0].because}"
