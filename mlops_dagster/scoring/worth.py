"""Find out how decisions are valued: by the declared values, or by the user's own function."""

from mlops_dagster.declaration import BusinessValue
from mlops_dagster.metrics.business import RowValues, values_by, values_of
from mlops_dagster.scoring.functions import resolve_function


def row_values(business: BusinessValue | None) -> RowValues | None:
    """Give the function that values decisions; None when no value is declared.

    Raises: SpecError when the user's function cannot be imported.
    """
    if business is None:
        return None
    if business.function is None:
        return values_of(business)
    where = "evaluate.business.function"
    return values_by(resolve_function(business.function, where=where), where=business.function)
