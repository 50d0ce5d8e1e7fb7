import pandas as pd
import pytest

from mlops_dagster.cli.column_kinds import has_decimal_comma
from mlops_dagster.cli.guesses import guess
from mlops_dagster.cli.sample import Address, find_table, read_sample
from mlops_dagster.declaration import Task
from mlops_dagster.errors import DataNotFitError, SpecError


def guesses_of(path, *, target: str):
    return guess(read_sample(Address(text=str(path))).to_pandas(), target=target)


def test_a_table_of_measurements_has_no_key_and_no_time(tables):
    guesses = guesses_of(tables / "cancer.csv", target="target")
    assert guesses.task is Task.BINARY
    assert (guesses.key, guesses.event_time, guesses.excluded) == ((), None, {})
    assert "late or corrected rows are not recognised" in guesses.key_because
    assert "at random" in guesses.split.because


def test_a_number_with_many_values_is_a_regression(tables):
    assert guesses_of(tables / "diabetes.parquet", target="target").task is Task.REGRESSION


def test_a_messy_table_is_understood(tables):
    guesses = guesses_of(tables / "messy.csv", target="left")
    assert guesses.task is Task.BINARY
    assert guesses.key == ("Customer ID",)
    assert guesses.event_time == "signed up"
    assert guesses.split.days == 60
    assert guesses.dates == ("last call",)
    assert guesses.excluded == {
        "empty": "empty in every row",
        "country": "'DE' in every row",
        "left code": "says the same as the target in every row: it would give the answer away",
    }


def test_a_table_of_a_database_is_read_and_found(tables):
    address = Address(text=f"sqlite:///{tables / 'cellar.db'}", table=None)
    assert find_table(address) == "wine"
    rows = read_sample(Address(text=address.text, table="wine")).to_pandas()
    assert guess(rows, target="target").task is Task.MULTICLASS


def test_a_wrong_table_name_names_the_nearest(tables):
    address = Address(text=f"sqlite:///{tables / 'cellar.db'}", table="wines")
    with pytest.raises(SpecError, match="Did you mean 'wine'"):
        find_table(address)


def test_a_date_or_an_amount_in_every_row_is_no_key():
    days = pd.date_range("2024-01-01", periods=40).strftime("%d/%m/%Y")
    amounts = [f"{number * 1001:,}" for number in range(40)]
    rows = pd.DataFrame({"datum": days, "amount": amounts, "late": [0, 1] * 20})
    assert guess(rows, target="late").key == ()


def test_a_date_with_the_day_first_is_left_out_and_told():
    days = pd.date_range("2024-01-01", periods=40).strftime("%d.%m.%Y")
    rows = pd.DataFrame(
        {"day": days, "size": [float(n % 7) for n in range(40)], "late": [0, 1] * 20}
    )
    guesses = guess(rows, target="late")
    assert guesses.inputs == ("size",)
    assert "dates such as '01.01.2024', not as ISO 8601" in guesses.excluded["day"]


@pytest.mark.parametrize(
    ("values", "comma"),
    [
        (["1,5", "2", None], True),
        (["1,000", "2,500"], False),
        (["1,000", "2,5"], True),
        (["a,b"], False),
        (["12"], False),
    ],
)
def test_a_decimal_comma_is_told_from_thousands(values, comma):
    assert has_decimal_comma(pd.Series(values)) is comma


def test_of_two_times_the_finer_one_says_when_a_row_happened():
    at = pd.date_range("2024-01-01", periods=100, freq="3h", tz="UTC")
    rows = pd.DataFrame({"day": at.date, "at": at, "late": [0, 1] * 50})
    guesses = guess(rows, target="late")
    assert guesses.event_time == "at"
    assert guesses.dates == ("day",)


def test_two_columns_together_are_a_key():
    rows = pd.DataFrame(
        {
            "shop_id": [number // 10 for number in range(100)],
            "order_nr": [number % 10 for number in range(100)],
            "size": [float(number % 7) for number in range(100)],
            "late": [number % 2 for number in range(100)],
        }
    )
    assert guess(rows, target="late").key == ("shop_id", "order_nr")


def test_a_holdout_without_every_class_is_not_taken_by_time():
    rows = pd.DataFrame(
        {
            "day": pd.date_range("2024-01-01", periods=100, tz="UTC"),
            "size": [float(number % 7) for number in range(100)],
            "late": [1] * 50 + [0] * 50,
        }
    )
    split = guess(rows, target="late").split
    assert split.days is None
    assert "do not hold every class" in split.because


def test_numbers_that_never_repeat_are_not_taken_for_the_target():
    sizes = [(number * 37) % 61 + 0.5 for number in range(60)]
    rows = pd.DataFrame({"size": sizes, "cost": [number * 2.5 for number in range(60)]})
    assert guess(rows, target="cost").excluded == {}


def test_a_column_that_orders_the_target_by_itself_is_left_out():
    months, sizes = [n * 0.5 for n in range(60)], [float(n % 7) for n in range(60)]
    rows = pd.DataFrame({"months": months, "size": sizes, "late": [0] * 30 + [1] * 30})
    excluded = guess(rows, target="late").excluded
    assert "orders the target almost perfectly" in excluded["months"]


def test_rare_labels_among_many_are_named():
    plans = ["basic"] * 10 + ["plus"] * 10 + ["pro"] * 9 + ["gold"]
    rows = pd.DataFrame({"size": [float(n % 7) for n in range(30)], "plan": plans})
    guesses = guess(rows, target="plan")
    assert guesses.task is Task.MULTICLASS
    assert guesses.task_because.endswith("hardly to be learned from so few rows: 'gold' (1)")


BROKEN = {
    "no target": (
        {"a": range(30)},
        r"'left' is missing\. Did you mean|'left' is missing\. Use one of",
    ),
    "few rows": ({"left": [0, 1] * 5}, "The table has 10 rows; at least 20 are needed"),
    "empty target": ({"left": [None] * 30}, "'left' is empty in all 30 rows"),
    "half known": ({"left": [0, 1] * 5 + [None] * 30}, "'left' is known in 10 of 40 rows"),
    "one class": ({"left": [1] * 30}, "'left' is 1 in every row"),
    "rare class": ({"left": [1] * 2 + [0] * 28}, "'left' is 1 in only 2 of 30 rows"),
    "a slip": (
        {"left": ["no"] * 20 + ["yes"] * 9 + ["yess"]},
        r"'left' is 'no', 'yes' but for a few rows: 'yess' \(1\)\. Mend those labels",
    ),
    "a code": ({"left": [0] * 20 + [1] * 8 + [9] * 2}, r"'left' is 0, 1 but .*: 9 \(2\)"),
    "only the target": (
        {"left": [0, 1] * 15},
        "nothing to learn 'left' from: there is no other column",
    ),
    "no inputs": (
        {"left": [0, 1] * 15, "id": range(30), "empty": [None] * 30},
        "the other columns are no inputs .*'id': names a row; 'empty': empty in every row",
    ),
    "free text": ({"left": [f"t{number}" for number in range(30)]}, "neither a label nor a number"),
    "dates": ({"left": [f"2024-01-{day:02}" for day in range(1, 31)]}, "'left' holds dates"),
    "mixed": (
        {"left": [str(number) for number in range(29)] + ["n/k"]},
        "'left' is a number in 29 of 30 rows and text in the others; first: 'n/k'",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_table_that_no_model_can_be_made_of_says_why(case):
    columns, message = BROKEN[case]
    with pytest.raises(DataNotFitError, match=message):
        guess(pd.DataFrame(columns), target="left")
