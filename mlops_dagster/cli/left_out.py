"""Which columns a model should not be given, each with the reason. Pure."""

import re
from collections.abc import Sequence

import pandas as pd
from pandas.api import types

from mlops_dagster.cli.column_kinds import can_name, is_date, is_foreign_date, is_text, shown

ID_NAME = re.compile(
    r"(^|[\s_.-])(?i:id|key|uuid|guid|nr|no|number|code)$|[a-z](Id|ID|Key)$|^(?i:id|key)[\s_.-]"
)


def guess_excluded(rows: pd.DataFrame, names: Sequence[str], *, target: str) -> dict[str, str]:
    """Find the columns that a model should not be given, with the reason."""
    found = {}
    for name in names:
        if because := why_excluded(rows[name], rows[target], name=name):
            found[name] = because
    return found


def why_excluded(column: pd.Series, target: pd.Series, *, name: str) -> str | None:
    """Say why a column should not be given to a model, if it should not."""
    known = column.dropna()
    if known.empty:
        return "empty in every row"
    first = known.iloc[0]
    if isinstance(first, list | dict | bytes) or type(first).__name__ == "ndarray":
        return f"holds {type(first).__name__} values, which a model cannot read"
    if known.nunique() == 1 and len(known) == len(column):
        return f"{shown([first])} in every row"
    if is_date(column):
        return None
    if is_foreign_date(column):
        return (
            f"dates such as {first!r}, not as ISO 8601 writes them (2025-01-31): neither read as a time "
            "nor given to the model; rewrite them in the source"
        )
    return why_giving_away(column, target) or why_nothing_general(known, name)


def why_giving_away(column: pd.Series, target: pd.Series) -> str | None:
    """Say how a column gives the answer away, if it does."""
    if tells(column, target):
        return "says the same as the target in every row: it would give the answer away"
    if orders(column, target):
        return "orders the target almost perfectly by itself: it is hardly known beforehand"
    return None


def orders(column: pd.Series, target: pd.Series) -> bool:
    """Tell whether a column alone would be refused as a leaked target."""
    from mlops_dagster.features.leaks import judge_leaks
    from mlops_dagster.records import Outcome

    known = target.notna()
    rows = column[known].to_frame().reset_index(drop=True)
    verdict = judge_leaks(rows, target[known].reset_index(drop=True))
    return verdict.outcome is Outcome.REFUSED


def why_nothing_general(known: pd.Series, name: str) -> str | None:
    """Say why nothing general can be learned from a column, if so."""
    share = known.nunique() / len(known)
    if ID_NAME.search(name) and can_name(known) and share > 0.9:
        return "a name of rows or things: nothing general can be learned from it"
    if is_text(known) and share > 0.5 and known.nunique() > 50:
        return f"{known.nunique()} different texts in {len(known)} rows: free text"
    return None


def tells(column: pd.Series, target: pd.Series) -> bool:
    """Tell whether a column and the target name each other one to one."""
    known = column.notna() & target.notna()
    pairs = pd.DataFrame({"column": column[known], "target": target[known]}).drop_duplicates()
    if pairs.empty:
        return False
    distinct = target[known].nunique()
    one_to_one = len(pairs) == distinct == pairs["column"].nunique()
    # Two numbers that never repeat pair up one to one by chance.
    repeats = distinct <= known.sum() / 2
    if types.is_numeric_dtype(column) and types.is_numeric_dtype(target) and not repeats:
        return bool((pairs["column"] == pairs["target"]).all())
    return one_to_one and (repeats or bool((pairs["column"] == pairs["target"]).all()))
