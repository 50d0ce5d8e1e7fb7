from mlops_dagster.cli.check import judge
from mlops_dagster.errors import SpecError


def test_what_does_not_hold_is_kept_as_a_line():
    def look() -> str:
        raise SpecError("no such file")

    found = judge("ingest.source", look)
    assert (found.holds, found.said) == (False, "no such file")
