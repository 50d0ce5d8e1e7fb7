"""What kind of values a column holds. Pure."""

import re
from collections.abc import Iterable

import pandas as pd
from pandas.api import types

_CODE = re.compile(r"^(?=.*[A-Za-z])(?=.*\d)[\w-]{2,64}$")
_FOREIGN_DATE = re.compile(r"^\s*\d{1,2}([./-])\d{1,2}\1(\d{4}|\d{2})(\s+\d{1,2}:\d{2}.*)?\s*$")
_COMMA = re.compile(r"^\s*[-+]?\d+,\d+\s*$")
_THOUSANDS = re.compile(r"^\s*[-+]?\d{1,3}(,\d{3})+\s*$")
_ISO_DATE = re.compile(r"^\s*\d{4}-\d{2}(-\d{2})?([T ]\d{2}:\d{2}.*)?\s*$")


def is_date(column: pd.Series) -> bool:
    """Tell whether a column holds times: as such, or as ISO 8601 text."""
    known = column.dropna()
    if known.empty:
        return False
    if types.is_datetime64_any_dtype(known):
        return True
    if hasattr(known.iloc[0], "isoformat"):
        return True
    if not isinstance(known.iloc[0], str):
        return False
    return bool(known.map(lambda one: isinstance(one, str) and bool(_ISO_DATE.match(one))).all())


def is_foreign_date(column: pd.Series) -> bool:
    """Tell whether texts look like dates with the day or the month first: nobody can tell which."""
    known = column.dropna()
    return is_text(column) and bool(
        known.map(lambda one: bool(_FOREIGN_DATE.match(str(one)))).all()
    )


def has_decimal_comma(column: pd.Series) -> bool:
    """Tell whether texts are numbers with a decimal comma; 1,000 and 2,500 alone may be thousands."""
    if not is_text(column):
        return False
    known = [one for one in column.dropna().astype(str) if one.strip()]
    commas = [one for one in known if _COMMA.match(one)]
    plain = all(_COMMA.match(one) or one.strip().lstrip("+-").isdigit() for one in known)
    return plain and any(not _THOUSANDS.match(one) for one in commas)


def as_time(column: pd.Series) -> pd.Series:
    """Read a column of dates as instants."""
    return pd.to_datetime(column, utc=True, format="ISO8601" if is_text(column) else None)


def can_name(column: pd.Series) -> bool:
    """Tell whether a column's type can be a key: text or whole numbers."""
    return is_text(column) or types.is_integer_dtype(column)


def is_text(column: pd.Series) -> bool:
    """Tell whether a column holds text."""
    known = column.dropna()
    return len(known) > 0 and isinstance(known.iloc[0], str)


def is_code(column: pd.Series) -> bool:
    """Tell whether texts look like names of things: letters or signs with digits, no spaces."""
    if not is_text(column):
        return False
    return bool(column.dropna().map(lambda one: bool(_CODE.match(str(one)))).all())


def is_counter(column: pd.Series) -> bool:
    """Tell whether whole numbers count the rows: 1, 2, 3, ... in any order."""
    if not types.is_integer_dtype(column):
        return False
    return bool(column.is_unique and column.max() - column.min() == len(column) - 1)


def shown(values: Iterable[object]) -> str:
    """List a few values."""
    listed = list(values)
    words = [repr(one.item() if hasattr(one, "item") else one) for one in listed[:5]]
    return ", ".join(words) + (", ..." if len(listed) > 5 else "")
