import pytest

from mlops_dagster.cli.check import import_path, judge, unknown_parameters
from mlops_dagster.errors import SpecError


def test_a_function_is_found_by_either_way_of_writing_it():
    assert import_path("os.path:join") is import_path("os.path.join")


def test_a_wrong_function_names_the_nearest():
    with pytest.raises(SpecError, match=r"os\.path:jion: 'jion' is not known. Did you mean 'join'"):
        import_path("os.path:jion")


def test_a_module_that_is_not_there_is_named():
    with pytest.raises(SpecError, match=r"nowhere cannot be imported: No module named 'nowhere'"):
        import_path("nowhere:load")


def test_a_wrong_parameter_names_the_nearest():
    def estimator(*, max_depth: int = 1, max_leaves: int = 2) -> None: ...

    assert "Did you mean 'max_depth'" in unknown_parameters(estimator, {"max_dept": 1})


def test_what_does_not_hold_is_kept_as_a_line():
    def look() -> str:
        raise SpecError("no such file")

    found = judge("ingest.source", look)
    assert (found.holds, found.said) == (False, "no such file")
