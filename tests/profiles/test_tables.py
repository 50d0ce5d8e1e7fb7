import datetime as dt
import decimal

import numpy as np
import pyarrow as pa
import pyarrow.dataset as pads
import pytest

from mlops_dagster.profiles.columns import CategoryProfile, NumericProfile, dumps, to_json
from mlops_dagster.profiles.tables import profile_of, profile_windows

RNG = np.random.default_rng(23)
ROWS = pa.table(
    {
        "delay": RNG.normal(size=20_000),
        "hour": RNG.integers(0, 24, size=20_000),
        "origin": RNG.choice(["LGA", "JFK", "EWR"], size=20_000),
    }
)


def one(values, **options):
    [column] = profile_of(pa.table({"x": values}), **options).columns.values()
    return column


def test_every_row_is_in_one_bin_and_bins_end_with_their_edge():
    column = profile_of(ROWS).columns["delay"]
    values = ROWS["delay"].to_numpy()
    expected = np.bincount(np.searchsorted(column.edges, values, side="left"))
    assert column.counts == tuple(expected.tolist())
    assert column.rows == 20_000
    assert column.mean == pytest.approx(values.mean(), abs=1e-9)
    assert column.sd == pytest.approx(values.std(), abs=1e-9)
    assert (column.minimum, column.maximum) == (values.min(), values.max())


def test_edges_are_close_to_the_declared_quantiles_with_tails():
    column = profile_of(ROWS).columns["delay"]
    below = np.cumsum(column.counts)[:-1] / 20_000
    assert below[0] < 0.002
    assert below[-1] > 0.998
    assert 60 < len(column.edges) <= 80


def test_a_number_with_few_values_gets_a_bin_for_each():
    column = profile_of(ROWS).columns["hour"]
    assert column.steps
    assert column.edges[1:] == tuple(float(hour) for hour in range(24))
    assert column.counts[0] == column.counts[-1] == 0


def test_the_same_rows_give_the_same_bytes_in_one_or_many_chunks():
    many = pa.concat_tables([ROWS.slice(start, 3_000) for start in range(0, 20_000, 3_000)])
    whole = profile_of(ROWS)
    assert dumps(to_json(profile_of(ROWS))) == dumps(to_json(whole))
    assert profile_of(many, edges_from=whole) == whole


def test_a_dataset_and_a_reader_give_what_the_table_gives(tmp_path):
    pads.write_dataset(ROWS, tmp_path, format="parquet")
    whole = profile_of(ROWS)
    assert profile_of(pads.dataset(tmp_path), edges_from=whole) == whole
    assert profile_of(ROWS.to_reader(), edges_from=whole) == whole


def test_nan_and_infinity_are_nulls():
    column = one([1.0, float("nan"), float("inf"), None, -float("inf"), 2.0])
    assert (column.rows, column.nulls) == (2, 4)
    assert (column.minimum, column.maximum) == (1.0, 2.0)


def test_true_and_false_are_labels():
    assert one([True, None, False, True]) == CategoryProfile(
        nulls=1, counts={"false": 1, "true": 2}
    )


def test_labels_beyond_the_cap_are_other_and_new_ones_are_named():
    labels = [f"l{n:03}" for n in range(300)]
    many = pa.array([label for label in labels for _ in range(10)] + ["top"] * 50)
    column = one(many)
    assert len(column.counts) == 200
    assert column.counts["top"] == 50
    assert column.rows == 3_050
    assert column.other == 3_050 - sum(column.counts.values())
    reference = profile_of(pa.table({"x": ["a", "a", "b"]}))
    now = one(["a", "new", "new"], edges_from=reference)
    assert now.counts == {"a": 1, "new": 2}


def test_text_keeps_its_null_share_only():
    column = one([f"note {n}" for n in range(1_000)] + [None])
    assert not column.comparable
    assert (column.rows, column.nulls, column.counts) == (1_000, 1, {})


def test_a_nested_column_is_not_comparable():
    assert not one([[1], None, [2, 3]]).comparable


@pytest.mark.parametrize(
    "values",
    [
        pa.array([dt.datetime(2013, 1, day, tzinfo=dt.UTC) for day in (1, 2, 3)]),
        pa.array([dt.date(2013, 1, day) for day in (1, 2, 3)]),
        pa.array([dt.timedelta(hours=hour) for hour in (1, 2, 3)]),
        pa.array([decimal.Decimal("1.5"), decimal.Decimal("2.5"), decimal.Decimal("3.5")]),
        pa.array([1, 2, 3], pa.uint8()),
    ],
)
def test_times_and_every_kind_of_number_are_numbers(values):
    column = one(values)
    assert isinstance(column, NumericProfile)
    assert column.rows == 3


def test_huge_numbers_do_not_overflow():
    column = one([1e308, -1e308, 1.0])
    assert column.rows == 3
    assert np.isfinite(column.sd)


def test_no_rows_and_all_nulls_have_a_profile():
    empty = profile_of(ROWS.slice(0, 0))
    assert empty.rows == 0
    assert all(column.rows == 0 for column in empty.columns.values())
    assert one(pa.nulls(5)).nulls == 5
    assert one(pa.nulls(5, pa.float64())) == NumericProfile(nulls=5, counts=(0,), steps=True)


def test_names_with_quotes_and_spaces_are_kept():
    assert set(profile_of(pa.table({'a "b" c': [1.0], "Ünï": ["x"]})).columns) == {'a "b" c', "Ünï"}


def test_numbers_that_came_as_text_are_counted_in_the_reference_bins():
    reference = profile_of(pa.table({"x": [1.0, 2.0, 3.0]}))
    now = one(["1", "3", "many"], edges_from=reference)
    assert (now.rows, now.nulls) == (2, 1)


def test_columns_that_only_one_side_has_are_left_out():
    now = profile_of(ROWS.drop_columns(["hour"]), edges_from=profile_of(ROWS))
    assert set(now.columns) == {"delay", "origin"}
    assert set(profile_of(ROWS, columns=["hour"]).columns) == {"hour"}


def test_windows_in_one_pass_are_what_each_gives_alone():
    whole = profile_of(ROWS)
    numbers = pa.array([None if n % 7 == 0 else n % 3 for n in range(20_000)])
    windows = profile_windows(ROWS, window_of=numbers, edges_from=whole)
    for number, profile in windows.items():
        alone = ROWS.filter(pa.array([one == number for one in numbers.to_pylist()]))
        assert profile == profile_of(alone, edges_from=whole)
    assert sorted(windows) == [0, 1, 2]


@pytest.mark.parametrize("where", [0, 19_999])
def test_one_absurd_row_does_not_stretch_edges_or_core(where):
    values = ROWS["delay"].to_numpy().copy()
    values[where] = 1e6
    plain, absurd = one(ROWS["delay"].to_numpy()), one(values)
    assert absurd.edges[-1] == pytest.approx(plain.edges[-1], rel=0.05)
    assert absurd.core_sd == pytest.approx(plain.core_sd, rel=0.005)
