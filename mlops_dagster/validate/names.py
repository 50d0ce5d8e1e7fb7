"""The expectations that are known, without importing Great Expectations (that takes seconds)."""

import re
from collections import Counter
from collections.abc import Sequence

from mlops_dagster.errors import SpecError
from mlops_dagster.validate.spec import ExpectationSpec

NEED_SQL = frozenset(
    [
        "expect_column_values_to_match_like_pattern",
        "expect_column_values_to_match_like_pattern_list",
        "expect_column_values_to_not_match_like_pattern",
        "expect_column_values_to_not_match_like_pattern_list",
        "expect_query_results_to_match_comparison",
        "expect_table_row_count_to_equal_other_table",
        "unexpected_rows_expectation",
    ]
)
"""Expectations that Great Expectations answers in a database only, not on an increment of rows."""

KNOWN = frozenset(
    [
        "expect_column_distinct_values_to_be_in_set",
        "expect_column_distinct_values_to_contain_set",
        "expect_column_distinct_values_to_equal_set",
        "expect_column_kl_divergence_to_be_less_than",
        "expect_column_max_to_be_between",
        "expect_column_mean_to_be_between",
        "expect_column_median_to_be_between",
        "expect_column_min_to_be_between",
        "expect_column_most_common_value_to_be_in_set",
        "expect_column_pair_values_a_to_be_greater_than_b",
        "expect_column_pair_values_to_be_equal",
        "expect_column_pair_values_to_be_in_set",
        "expect_column_proportion_of_non_null_values_to_be_between",
        "expect_column_proportion_of_unique_values_to_be_between",
        "expect_column_quantile_values_to_be_between",
        "expect_column_stdev_to_be_between",
        "expect_column_sum_to_be_between",
        "expect_column_to_exist",
        "expect_column_type_to_be",
        "expect_column_unique_value_count_to_be_between",
        "expect_column_value_lengths_to_be_between",
        "expect_column_value_lengths_to_equal",
        "expect_column_value_z_scores_to_be_less_than",
        "expect_column_values_to_be_between",
        "expect_column_values_to_be_dateutil_parseable",
        "expect_column_values_to_be_decreasing",
        "expect_column_values_to_be_in_set",
        "expect_column_values_to_be_in_type_list",
        "expect_column_values_to_be_increasing",
        "expect_column_values_to_be_json_parseable",
        "expect_column_values_to_be_null",
        "expect_column_values_to_be_of_type",
        "expect_column_values_to_be_unique",
        "expect_column_values_to_match_json_schema",
        "expect_column_values_to_match_regex",
        "expect_column_values_to_match_regex_list",
        "expect_column_values_to_match_strftime_format",
        "expect_column_values_to_not_be_in_set",
        "expect_column_values_to_not_be_null",
        "expect_column_values_to_not_be_outliers",
        "expect_column_values_to_not_match_regex",
        "expect_column_values_to_not_match_regex_list",
        "expect_compound_columns_to_be_unique",
        "expect_multicolumn_sum_to_equal",
        "expect_multicolumn_values_to_be_equal",
        "expect_select_column_values_to_be_unique_within_record",
        "expect_table_column_count_to_be_between",
        "expect_table_column_count_to_equal",
        "expect_table_columns_to_match_ordered_list",
        "expect_table_columns_to_match_set",
        "expect_table_row_count_to_be_between",
        "expect_table_row_count_to_equal",
    ]
)
"""Expectations that can be judged on an increment of rows."""

COLUMN_WORDS = ("column", "column_list", "column_A", "column_B")


def require_known(expectations: Sequence[ExpectationSpec], *, where: str) -> None:
    """Refuse a type that Great Expectations does not have, or has for databases only.

    Raises: SpecError naming the expectation and the nearest known type.
    """
    for index, one in enumerate(expectations):
        place = f"{where}[{index}].type"
        if one.type in NEED_SQL:
            message = (
                f"{place}: {one.type} works on a database only; batches are judged as rows. "
                "Use an expectation on columns instead."
            )
            raise SpecError(message)
        if one.type not in KNOWN:
            raise SpecError.unknown(place, one.type, KNOWN)


def check_names(expectations: Sequence[ExpectationSpec]) -> tuple[str, ...]:
    """Name the check of each expectation: its type and column, made unique by a number."""
    seen: Counter[str] = Counter()
    names = []
    for one in expectations:
        name = _name(one)
        seen[name] += 1
        names.append(name if seen[name] == 1 else f"{name}_{seen[name]}")
    return tuple(names)


def columns_of(expectation: ExpectationSpec) -> tuple[str, ...]:
    """List the columns that an expectation is about."""
    given = (expectation.kwargs.get(word) for word in COLUMN_WORDS)
    listed = [one if isinstance(one, list) else [one] for one in given if one]
    return tuple(str(name) for names in listed for name in names)


def _name(expectation: ExpectationSpec) -> str:
    about = "_".join(columns_of(expectation))
    kind = expectation.type.removeprefix("expect_")
    return re.sub(r"[^A-Za-z0-9_]", "_", f"{kind}__{about}" if about else kind)
