"""Functions that tests declare as sources; what they give is set by the test."""

import pandas as pd

GIVEN: dict[str, object] = {}


def rows() -> object:
    return GIVEN["rows"]


def rows_since(since: object) -> object:
    GIVEN["since"] = since
    return GIVEN["rows"]


def weather() -> object:
    return GIVEN["weather"]


def state() -> str:
    return str(GIVEN["state"])


def broken() -> pd.DataFrame:
    raise RuntimeError("the source's own fault")


NOT_A_FUNCTION = 3
