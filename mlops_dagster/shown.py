"""How a record is drawn in Dagster: metadata, checks, data version."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import dagster as dg

from mlops_dagster.records import JSON, Check, Outcome, Record, Severity, Shown, rounded


def materialize_result(record: Record, declared: Sequence[str]) -> object:
    """Translate a record into what Dagster keeps and shows."""
    shown = {name: metadata_value(one) for name, one in record.shown.items()}
    return dg.MaterializeResult(
        value=record,
        metadata={
            "outcome": record.outcome.value,
            **({"because": record.because} if record.because else {}),
            **({"reused": record.reused} if record.reused else {}),
            **shown,
        },
        data_version=dg.DataVersion(record.data_version),
        check_results=[check_result(check) for check in complete_checks(record.checks, declared)],
    )


def complete_checks(checks: Sequence[Check], declared: Sequence[str]) -> list[Check]:
    """Give every declared check a verdict: one that said nothing was not applicable."""
    said = {check.name: check for check in checks}
    return [
        said.get(
            name,
            Check(name=name, outcome=Outcome.NOT_APPLICABLE, because="Nothing to judge yet."),
        )
        for name in declared
    ]


def check_result(check: Check) -> dg.AssetCheckResult:
    """Translate a verdict. Not applicable is shown as a warning, which says so: it is never a pass."""
    refused = check.outcome is Outcome.REFUSED
    unknown = check.outcome is Outcome.NOT_APPLICABLE
    blocks = refused and check.severity is Severity.CRITICAL
    return dg.AssetCheckResult(
        check_name=check.name,
        passed=check.outcome is Outcome.PASSED,
        severity=dg.AssetCheckSeverity.ERROR if blocks else dg.AssetCheckSeverity.WARN,
        description=f"Not judged: {check.because}" if unknown else check.because,
        metadata={
            "outcome": check.outcome.value,
            "because": check.because,
            **{name: metadata_value(one) for name, one in check.shown.items()},
        },
    )


def metadata_value(shown: Shown) -> dg.MetadataValue[Any]:
    """Choose how the Dagster UI draws a fact."""
    return _DRAWN[shown.kind](shown.value)


def column_schema(value: JSON) -> dg.MetadataValue[Any]:
    """Draw `{column: type}` as Dagster's table of columns."""
    columns = value if isinstance(value, dict) else {}
    listed = [dg.TableColumn(name, type=str(kind)) for name, kind in columns.items()]
    return dg.MetadataValue.table_schema(dg.TableSchema(listed))


_DRAWN: Mapping[str, Callable[[Any], dg.MetadataValue[Any]]] = {
    "columns": column_schema,
    "markdown": dg.MetadataValue.md,
    "number": lambda value: dg.MetadataValue.float(rounded(value)),
    "integer": dg.MetadataValue.int,
    "url": dg.MetadataValue.url,
    "path": dg.MetadataValue.path,
    "json": dg.MetadataValue.json,
    "time": dg.MetadataValue.text,
    "text": dg.MetadataValue.text,
}
