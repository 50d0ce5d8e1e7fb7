"""How a challenger answers beside the live version: the same rows in shadow, other keys in a canary."""

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.dataset as pads

from mlops_dagster.records import Shown, Snapshot
from mlops_dagster.workbench import StepContext

_NEEDED = {"prediction_id", "role", "model_version", "prediction", "scored_at"}
_ROLES = {"shadow": "on the same rows", "canary": "on its share of the keys"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """One challenger and the live version over the same time.

    `score` is the mean probability, or the mean prediction of a regression. `error` is the share of
    wrong labels, or the mean absolute error, over the `labelled` rows. `agree` is the share of equal
    predictions and `apart` the mean distance of two scores of one row, both of shadow alone.
    """

    role: str
    version: str
    live: str
    rows: int
    live_rows: int
    score: float | None
    live_score: float | None
    labelled: int
    live_labelled: int
    error: float | None
    live_error: float | None
    agree: float | None
    apart: float | None


def compare_roles(context: StepContext, validated: Snapshot, *, live: str) -> list[Beside]:
    """Compare each version that answered in shadow or as a canary with the version that is live."""
    name = context.table("predictions")
    if context.bench.tables.latest(name) is None:
        return []
    rows = context.bench.tables.dataset(name)
    if not set(rows.schema.names) >= _NEEDED:
        return []
    truth = _truth(context, validated, rows.schema)
    tables: dict[str, Any] = {"answers": rows, "truth": truth}
    query = _query(context, rows.schema)
    told = context.bench.compute.sql(query, tables).to_pylist()
    compared = [Beside(**row) for row in told if row["live"] == live]
    return sorted(compared, key=lambda one: (one.role, one.version))


def shown_roles(compared: list[Beside]) -> dict[str, Shown]:
    """Draw the comparison as a table."""
    if not compared:
        return {}
    head = (
        "| challenger | where | rows | mean score | live | same answer | scores apart | labelled | "
        "error | live |\n|---|---|---:|---:|---:|---:|---:|---:|---:|---:|\n"
    )
    table = head + "\n".join(_line(one) for one in compared)
    return {"challenger": Shown(kind="markdown", value=table)}


def _line(one: Beside) -> str:
    cells = (
        f"version {one.version}",
        f"{one.role}, {_ROLES[one.role]}",
        f"{one.rows:,}",
        _number(one.score),
        _number(one.live_score),
        "" if one.agree is None else f"{one.agree:.1%}",
        _number(one.apart),
        f"{one.labelled:,} / {one.live_labelled:,}",
        _number(one.error),
        _number(one.live_error),
    )
    return "| " + " | ".join(cells) + " |"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _truth(
    context: StepContext, validated: Snapshot, answers: pa.Schema
) -> pads.Dataset | pa.Table:
    """Give the rows whose target is known by now; none where predictions carry no key."""
    key, target = list(context.model.key), context.model.target
    rows = context.bench.tables.dataset(validated.table.name, version=validated.table.version)
    named = {*key, target} <= set(rows.schema.names) and set(key) <= set(answers.names)
    if not key or not named:
        kinds = [(name, pa.string()) for name in (*key, target)]
        return pa.schema(kinds).empty_table()
    return rows


def _query(context: StepContext, answers: pa.Schema) -> str:
    key, target = context.model.key, _quoted(context.model.target)
    classes = context.model.task.is_classification
    same = (
        f"coalesce(try_cast(a.prediction as double) = try_cast(t.{target} as double), "
        f"a.prediction::varchar = t.{target}::varchar)"
    )
    missed = f"abs(try_cast(a.prediction as double) - try_cast(t.{target} as double))"
    error = f"(not {same})::int::double" if classes else missed
    score = (
        "a.probability" if "probability" in answers.names else "try_cast(a.prediction as double)"
    )
    known = [name for name in key if name in answers.names]
    on = " and ".join(f"a.{_quoted(name)}::varchar = t.{_quoted(name)}::varchar" for name in known)
    joined = f"left join truth t on {on} and t.{target} is not null" if on else ""
    measured = f"case when t.{target} is null then null else {error} end" if on else "null::double"
    return f"""
    with scored as (
        select a.prediction_id, a.role, a.model_version, a.prediction::varchar as label, a.scored_at,
               {score} as score, {measured} as error
        from answers a {joined}
    ),
    tried as (select * from scored where role in ('shadow', 'canary')),
    spells as (select role, model_version, min(scored_at) as since from tried group by all),
    pairs as (
        select s.role, s.model_version as version, l.model_version as live,
               s.score, l.score as live_score, s.error, l.error as live_error,
               (s.label = l.label)::int::double as agree, abs(s.score - l.score) as apart,
               1 as here, 1 as there
        from tried s join scored l
          on s.role = 'shadow' and s.prediction_id = l.prediction_id || '/shadow'
    ),
    sides as (
        select p.role, p.model_version as version, l.model_version as live,
               case when l.role = 'canary' then l.score end as score,
               case when l.role = 'live' then l.score end as live_score,
               case when l.role = 'canary' then l.error end as error,
               case when l.role = 'live' then l.error end as live_error,
               null::double as agree, null::double as apart,
               (l.role = 'canary')::int as here, (l.role = 'live')::int as there
        from spells p join scored l
          on p.role = 'canary' and l.scored_at >= p.since
         and (l.role = 'live' or (l.role = 'canary' and l.model_version = p.model_version))
    ),
    named as (
        select role, version, score, live_score, error, live_error, agree, apart, here, there,
               max(case when there = 1 then live end) over (partition by role, version) as live
        from (select * from pairs union all select * from sides)
    )
    select role, version, live,
           sum(here)::bigint as rows, sum(there)::bigint as live_rows,
           avg(score) as score, avg(live_score) as live_score,
           count(error)::bigint as labelled, count(live_error)::bigint as live_labelled,
           avg(error) as error, avg(live_error) as live_error,
           avg(agree) as agree, avg(apart) as apart
    from named where live is not null group by role, version, live
    """


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
