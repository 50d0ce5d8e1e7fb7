"""What is known of the watching itself: when the model was looked at last, and what is wrong now."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from mlops_dagster.cli.model_argument import split_name
from mlops_dagster.cli.status_facts import Fact, minute
from mlops_dagster.records import JSON

if TYPE_CHECKING:
    from mlops_dagster.workbench import Workbench


def watch_facts(bench: "Workbench", model: str) -> Iterator[Fact]:
    """List the last look, and the incidents that are open."""
    yield last_look(bench, model)
    for one in bench.operations.incidents.all(*split_name(model)):
        if one.closed_at is None:
            known = "" if one.told else ", nobody was told yet"
            text = f"{one.kind} since {minute(one.opened_at)}{known}: {one.because}"
            values: dict[str, JSON] = {
                "kind": one.kind,
                "since": one.opened_at.isoformat(),
                "told": one.told,
            }
            yield Fact(label="incident", text=text, values=values)


def last_look(bench: "Workbench", model: str) -> Fact:
    """Say when the model was looked at last, and how long ago that is."""
    from mlops_dagster.stores.operations import FindingFilter

    only = FindingFilter(signals=frozenset({"data_age"}))
    found = bench.operations.newest_findings(*split_name(model), limit=1, only=only)
    if not found:
        return Fact(label="last look", text="never: `monitor` looks", values={"at": None})
    age = (bench.clock.now() - found[0].at).total_seconds() / 3600
    text = f"{minute(found[0].at)}, {age:.1f} h ago"
    values: dict[str, JSON] = {"at": found[0].at.isoformat(), "hours": round(age, 2)}
    return Fact(label="last look", text=text, values=values)
