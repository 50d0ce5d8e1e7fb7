"""The year as a table and as a picture: what the first model would have done, and the maintained one."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from mlops_dagster.declaration import ModelIdentity
from mlops_dagster.metrics.quality import measure
from mlops_dagster.records import Snapshot
from mlops_dagster.scoring.loader import load_verified
from mlops_dagster.stores.accepted import accepted_record
from mlops_dagster.workbench import Workbench

METRICS = ("log_loss", "roc_auc")


@dataclass(frozen=True, slots=True, kw_only=True)
class Month:
    """One month, judged when its outcomes were out."""

    name: str
    rows: int
    late_share: float
    first: dict[str, float]
    maintained: dict[str, float]
    versions: str
    events: tuple[str, ...] = ()


def judge_months(bench: Workbench, model: ModelIdentity) -> list[Month]:
    """Hold the predictions of each month, as they were served, against its outcomes."""
    from mlops_dagster.scoring.rows import decode_inputs

    scored = bench.tables.read(f"{model.address}/predictions").to_pandas()
    # What callers asked about while versions changed is no part of the year.
    scored = scored[scored["role"] == "batch"]
    address = (model.name, model.segment, "validated_data")
    rows = accepted_record(bench.records, bench.operations, address=address, kind=Snapshot)
    if rows is None:
        return []
    columns = [*model.key, model.target]
    truth = bench.tables.read(rows.table.name, version=rows.table.version, columns=columns)
    joined = scored.merge(truth.to_pandas(), on=list(model.key)).dropna(subset=[model.target])
    joined["month"] = joined[str(model.event_time)].dt.strftime("%Y-%m")
    first = load_verified(bench.registry, bench.registry.version(model.registered_name, "1"))
    months = []
    for name, of_month in joined.groupby("month"):
        inputs = decode_inputs(list(of_month["inputs"]), first)
        months.append(
            Month(
                name=str(name),
                rows=len(of_month),
                late_share=float(of_month[model.target].mean()),
                first=_quality(of_month[model.target], first.predict(inputs)["probability"]),
                maintained=_quality(of_month[model.target], of_month["probability"]),
                versions=", ".join(f"v{one}" for one in sorted(set(of_month["model_version"]))),
            )
        )
    return months


def write_table(months: list[Month]) -> str:
    """Lay the months out for a terminal, each with what happened and why."""
    head = [
        f"{'':26}{'first model':>16}{'as served':>28}",
        f"{'month':10}{'rows':>8}{'late':>8}{'log-loss':>10}{'AUC':>7}{'version':>11}{'log-loss':>10}{'AUC':>7}",
    ]
    lines = [*head, "-" * len(head[1])]
    for one in months:
        lines.append(
            f"{one.name:10}{one.rows:8,}{one.late_share:8.1%}"
            f"{one.first['log_loss']:10.4f}{one.first['roc_auc']:7.3f}"
            f"{one.versions:>11}{one.maintained['log_loss']:10.4f}{one.maintained['roc_auc']:7.3f}"
        )
        lines += [f"{'':10}{event}" for event in one.events]
    return "\n".join(lines)


def draw(months: list[Month], path: Path) -> None:
    """Draw both models' log-loss and AUC by month; lower log-loss and higher AUC are better."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 6), layout="constrained")
    loss, auc = figure.subplots(2, 1, sharex=True)
    names = [one.name for one in months]
    for axis, metric, label in ((loss, "log_loss", "log-loss (lower is better)"),
                                (auc, "roc_auc", "ROC AUC (higher is better)")):  # fmt: skip
        axis.plot(names, [one.first[metric] for one in months], "o--", color="#8a8f98",
                  label="first model, January to March")  # fmt: skip
        axis.plot(names, [one.maintained[metric] for one in months], "o-", color="#1f6feb",
                  label="maintained model, as served")  # fmt: skip
        axis.set_ylabel(label)
        axis.grid(alpha=0.25)
    loss.legend(frameon=False)
    loss.set_title("Departures from New York, 2013: predictions made before the outcome was known")
    figure.savefig(path, dpi=110)


def _quality(truth: pd.Series, probability: pd.Series) -> dict[str, float]:
    known = probability.to_numpy()
    return measure(METRICS, truth.to_numpy(), (known >= 0.5).astype(float), probability=known)
