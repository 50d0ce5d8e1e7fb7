"""Gives expectations to Great Expectations, and its answers back as plain verdicts."""

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from mlops_dagster.errors import SpecError, first_line
from mlops_dagster.records import JSON, Severity, rounded
from mlops_dagster.stores.described import grouped
from mlops_dagster.validate.names import check_names, columns_of
from mlops_dagster.validate.spec import ExpectationSpec

_INDEX = "mlops_dagster_index"
SAMPLE_VALUES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What one expectation said of one batch. `rows` are the positions that broke it."""

    name: str
    expectation: ExpectationSpec
    holds: bool
    because: str
    rows: tuple[int, ...] = ()
    observed: JSON = None
    unexpected_percent: float | None = None
    sample: tuple[str, ...] = ()

    @property
    def critical(self) -> bool:
        """Tell whether it decides over the batch."""
        return self.expectation.severity is Severity.CRITICAL


def judge_with(
    expectations: Sequence[ExpectationSpec], *, where: str
) -> Callable[[pd.DataFrame], list[Verdict]]:
    """Open Great Expectations once, and judge batches with it, all expectations in one call each.

    Raises: SpecError when it does not take an expectation.
    """
    gx = import_quietly()
    suite = parse(expectations, where=where)
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    asset = context.data_sources.add_pandas("increments").add_dataframe_asset("increment")
    definition = asset.add_batch_definition_whole_dataframe("whole")
    names = check_names(expectations)

    def judge(rows: pd.DataFrame) -> list[Verdict]:
        batch = definition.get_batch(batch_parameters={"dataframe": rows})
        told = batch.validate(suite, result_format={"result_format": "COMPLETE"})
        # Results come in an order of their own.
        by_index = {one.expectation_config.meta[_INDEX]: one for one in told.results}
        return [
            verdict(names[index], expectation, by_index[index])
            for index, expectation in enumerate(expectations)
        ]

    return judge


def parse(expectations: Sequence[ExpectationSpec], *, where: str) -> Any:
    """Have Great Expectations read every expectation.

    Raises: SpecError naming the expectation's number, the field and what is wrong with it.
    """
    gx = import_quietly()
    suite = gx.ExpectationSuite(name="declared")
    for index, one in enumerate(expectations):
        told = one.model_dump(mode="json") | {"meta": {**one.meta, _INDEX: index}}
        try:
            single = gx.ExpectationSuite(name="one", expectations=[told])
        # The errors of pydantic v1, which Great Expectations uses, are ValueErrors.
        except (ValueError, gx.exceptions.GreatExpectationsError) as error:
            message = f"{where}[{index}] ({one.type}): {_complaints(error)}."
            raise SpecError(message) from error
        suite.expectations += single.expectations
    return suite


def import_quietly() -> Any:
    """Import Great Expectations so that it tells nobody about it."""
    # It reads the variable while it is imported; there is no other way to say so.
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    import great_expectations

    return great_expectations


def verdict(name: str, expectation: ExpectationSpec, told: Any) -> Verdict:
    """Read one result, of either shape."""
    result = dict(told.result or {})
    if not result:
        why = f"Could not be judged: {_exception(told.exception_info)}"
        return Verdict(name=name, expectation=expectation, holds=False, because=why)
    rows = tuple(int(position) for position in result.get("unexpected_index_list") or ())
    sample = tuple(
        dict.fromkeys(shorten(one) for one in result.get("partial_unexpected_list") or ())
    )
    sample = sample[:SAMPLE_VALUES]
    holds = bool(told.success)
    by_row = "unexpected_index_list" in result
    sentence = (
        _by_row(expectation, result, sample=sample) if by_row else _as_whole(expectation, result)
    )
    percent = result.get("unexpected_percent")
    return Verdict(
        name=name,
        expectation=expectation,
        holds=holds,
        because=f"{'Holds' if holds else 'Broken'}: {sentence}",
        rows=rows,
        observed=plain(result.get("observed_value", result.get("unexpected_count"))),
        unexpected_percent=None if percent is None else float(percent),
        sample=sample,
    )


def needed(expectation: ExpectationSpec) -> str:
    """Say an expectation in one line: its columns, type and arguments."""
    columns = columns_of(expectation)
    told = {
        name: value for name, value in expectation.kwargs.items() if not name.startswith("column")
    }
    arguments = ", ".join(f"{name}={value!r}" for name, value in told.items())
    about = f"{', '.join(columns)}: " if columns else ""
    return f"{about}{expectation.type}" + (f" ({arguments})" if arguments else "")


def plain(value: Any) -> JSON:
    """Turn what an expectation observed into JSON; what has no form of its own becomes text."""
    if hasattr(value, "item") and not isinstance(value, pd.Timestamp):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, list | tuple):
        return [plain(one) for one in value[:20]]
    return shorten(value)


def shorten(value: Any) -> str:
    """Write one value for people, in at most 80 characters."""
    if value is None or value is pd.NaT or (isinstance(value, float) and math.isnan(value)):
        return "null"
    text = str(value.item() if hasattr(value, "item") else value)
    return text if len(text) <= 80 else text[:79] + "…"


def _by_row(expectation: ExpectationSpec, result: dict[str, Any], *, sample: Sequence[str]) -> str:
    count, rows = result["unexpected_count"], result["element_count"]
    share = float(result.get("unexpected_percent") or 0.0)
    missing = result.get("missing_count") or 0
    # Great Expectations counts its share among the rows that have a value.
    of = f"{grouped(rows - missing)} rows that have a value" if missing else f"{grouped(rows)} rows"
    shown = f", such as {', '.join(sample)}" if sample else ""
    return f"{grouped(count)} of {of} ({share:.4g} %) do not meet {needed(expectation)}{shown}; {_allowed(expectation)}."


def _allowed(expectation: ExpectationSpec) -> str:
    mostly = float(str(expectation.kwargs.get("mostly", 1.0)))
    return "all rows must" if mostly == 1.0 else f"at least {mostly * 100:.6g} % of rows must"


def _as_whole(expectation: ExpectationSpec, result: dict[str, Any]) -> str:
    details = result.get("details") or {}
    more = f" ({details['mismatched']})" if "mismatched" in details else ""
    observed = plain(result.get("observed_value"))
    if "row_count" in expectation.type and isinstance(observed, int):
        observed = grouped(observed)
    return f"{needed(expectation)}: observed {rounded(observed)}{more}."


def _exception(info: Any) -> str:
    """Find the sentence: an exception is told plainly, or under the key of a metric."""
    told = dict(info or {})
    if "exception_message" in told:
        told = {"": told}
    sentences = [str(one["exception_message"]) for one in told.values() if isinstance(one, dict)]
    return (sentences[0].splitlines() or ["no reason"])[0] if sentences else "no reason was given"


def _complaints(error: Exception) -> str:
    listed = getattr(error, "errors", None)
    if listed is None:
        return first_line(error).rsplit("not valid: ", 1)[-1]
    by_field: dict[str, str] = {}
    for one in listed():
        # A union of types repeats its field once for each type; the first says most.
        by_field.setdefault(
            ".".join(map(str, one["loc"])).replace("__root__", "kwargs"), one["msg"]
        )
    return "; ".join(f"{name}: {text}" for name, text in by_field.items())
