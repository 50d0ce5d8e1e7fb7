import dataclasses

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from mlops_dagster.declaration import LookupJoin, Task
from mlops_dagster.errors import DataNotFitError, SpecError
from mlops_dagster.features.assets import build_stage
from mlops_dagster.features.run import run
from mlops_dagster.features.spec import FeaturesSpec
from mlops_dagster.records import Outcome
from mlops_dagster.scoring.feature_rows import FeatureRows

GOOD = """
import pandas as pd

def doubled(rows):
    rows["twice"] = rows["size"] * 2
    return rows

def shop_name(rows):
    return rows.assign(shop_name=rows["shop"].astype(str), weekday=rows["seen"].dt.day_of_week)
"""


def made(context, features, **spec):
    joins = spec.pop("joins", {})
    return run(context, FeaturesSpec(**spec), features, joins=joins)


def table_of(context, record):
    return FeatureRows.read(context.bench.tables, record.table)


def test_features_are_made_in_order_of_the_labelled_rows_only(step, accept, project, parcels):
    module = project(GOOD)
    context = step()
    record = made(
        context, accept(context, parcels), functions=(f"{module}:doubled", f"{module}:shop_name")
    )
    rows = table_of(context, record)
    assert record.outcome is Outcome.PASSED
    assert record.table.rows == 390
    assert record.columns == ("shop", "size", "kind", "twice", "shop_name", "weekday")
    assert set(record.inputs) == {"id", "seen", "shop", "size", "kind"}
    made_of_size = rows.features()["twice"]
    assert (made_of_size == rows.column("size") * 2).all()
    assert record.shown["dagster/row_count"].value == 390
    assert record.shown["features"].value == 6
    assert "| kind | str | " in record.shown["nulls"].value
    assert "| id | seen | shop |" in record.shown["sample"].value


def test_infinite_numbers_are_null_no_labels_and_counted(step, accept, project, parcels):
    context = step(task=Task.REGRESSION)
    sizes = parcels["size"].mask(parcels["id"] < 2, np.inf)
    targets = parcels["late"].mask(parcels["id"].isin([3, 4, 5]), -np.inf)
    record = made(context, accept(context, parcels.assign(size=sizes, late=targets)))
    rows = table_of(context, record)
    assert record.table.rows == 387
    assert np.isfinite(rows.column("late")).all()
    assert rows.features()["size"].isna().sum() == 2
    assert rows.inputs(["size"])["size"].isna().sum() == 2
    assert record.because == (
        "387 labelled rows, 3 features. 'size': 2 infinite, given as null. "
        "3 rows have an infinite 'late' and count as not labelled."
    )


def test_functions_see_the_types_that_they_see_when_serving(step, accept, project, parcels):
    module = project(GOOD)
    context = step()
    naive = parcels.assign(seen=parcels["seen"].dt.tz_localize(None))
    record = made(context, accept(context, naive), functions=(f"{module}:shop_name",))
    assert set(table_of(context, record).features()["shop_name"]) == {"1.0", "2.0", "3.0", "4.0"}
    zoned = project("def utc(rows):\n    return rows.assign(zone=str(rows['seen'].dt.tz))\n")
    record = made(context, accept(context, naive), functions=(f"{zoned}:utc",))
    assert set(table_of(context, record).features()["zone"]) == {"UTC"}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return rows['size']", "returned Series"),
        ("return rows.head(3)", "made 3 rows of 390"),
        ("return rows.sort_values('size')", "changed the order"),
        ("return rows.assign(id=0)", "changed the key 'id'"),
        ("return pd.concat([rows, rows[['size']]], axis=1)", "made two columns 'size'"),
        ("return rows.assign(**{'x': 1}).rename(columns={'x': 7})", "no text: .*7"),
        ("rows['id'] = 0\n    return rows", "changed the key 'id'"),
        ("return rows.assign(x=rows['late'])", "never the target 'late'"),
        ("return rows.assign(x=rows['sise'])", "sise"),
    ],
)
def test_a_function_that_does_not_keep_to_its_rows_is_named(
    step, accept, project, parcels, body, said
):
    module = project(f"import pandas as pd\ndef wrong(rows):\n    {body}\n")
    context = step()
    with pytest.raises(DataNotFitError, match=f"{module}.wrong.*{said}"):
        made(context, accept(context, parcels), functions=(f"{module}:wrong",))
    assert context.bench.tables.latest(context.table("features")) is None


@pytest.mark.parametrize(
    "value",
    [
        "rows['size'] - rows['size'].mean()",
        "rows['size'].rank()",
        "rows['size'].shift(1)",
        "pd.factorize(rows['kind'])[0]",
        "range(len(rows))",
    ],
)
@pytest.mark.parametrize("count", [60, 390])
def test_a_value_that_depends_on_other_rows_is_refused_by_name(
    step, accept, project, parcels, value, count
):
    module = project(
        f"import pandas as pd\ndef wrong(rows):\n    return rows.assign(odd={value})\n"
    )
    context = step()
    with pytest.raises(DataNotFitError, match="'odd' has other values when fewer rows"):
        made(context, accept(context, parcels.head(count)), functions=(f"{module}:wrong",))


def test_a_feature_of_mixed_types_is_named(step, accept, project, parcels):
    module = project(
        "def mix(rows):\n    return rows.assign(m=[1 if s > 0 else 'a' for s in rows['size']])\n"
    )
    context = step()
    with pytest.raises(DataNotFitError, match=r"a feature cannot be kept.*column m"):
        made(context, accept(context, parcels), functions=(f"{module}:mix",))


def test_a_row_whose_target_is_not_a_number_is_not_learned_from(step, accept, parcels):
    context = step()
    accepted = accept(context, parcels)
    rows = context.bench.tables.read(accepted.table.name)
    late = pc.fill_null(rows["late"], float("nan"))
    rows = rows.set_column(rows.schema.get_field_index("late"), "late", late)
    ref = context.bench.tables.overwrite(accepted.table.name, rows).ref
    assert made(context, dataclasses.replace(accepted, table=ref)).table.rows == 390


def test_no_labelled_row_is_said(step, accept, parcels):
    context = step()
    snapshot = accept(context, parcels.assign(late=None))
    with pytest.raises(DataNotFitError, match="none of 400 accepted rows has a known 'late'"):
        made(context, snapshot)


@pytest.mark.parametrize(
    "leak",
    [
        lambda late: late,
        lambda late: 1 - late,
        lambda late: late.map({0.0: "fine", 1.0: "lost"}),
        lambda late: pd.Series([f"{one:.0f}{n % 2}" for n, one in enumerate(late)]),
        lambda late: pd.Series(range(len(late)), dtype="float64").where(late == 1),
    ],
)
def test_PR1_a_leaked_target_column_is_reported_and_blocks(step, accept, parcels, leak):
    context = step()
    known = parcels.head(390)
    record = made(context, accept(context, known.assign(told=leak(known["late"]))))
    [check] = record.checks
    assert record.outcome is Outcome.REFUSED
    assert check.name == "no_leaked_target"
    assert check.because.startswith("told: ")


def test_a_copy_of_a_number_that_is_predicted_is_a_leak_and_a_strong_feature_is_not(
    step, accept, parcels
):
    context = step(target="size", task=Task.REGRESSION)
    strong = parcels["size"] + parcels["size"].sample(frac=1, random_state=1).to_numpy() / 10
    record = made(context, accept(context, parcels.assign(strong=strong)))
    assert record.outcome is Outcome.PASSED
    record = made(context, accept(context, parcels.assign(copy=parcels["size"] * 3 + 1)))
    assert record.because.startswith("copy: ")


def test_only_the_chosen_columns_are_features(step, accept, parcels):
    context = step()
    snapshot = accept(context, parcels)
    assert made(context, snapshot, columns=("kind", "size")).columns == ("kind", "size")
    assert made(context, snapshot, exclude=("kind",)).columns == ("shop", "size")
    with pytest.raises(DataNotFitError, match="Did you mean 'size'"):
        made(context, snapshot, columns=("sise",))
    with pytest.raises(DataNotFitError, match="no column is left"):
        made(context, snapshot, exclude=("kind", "size", "shop"))


def test_the_same_rows_twice_make_no_new_version(step, accept, parcels):
    context = step()
    snapshot = accept(context, parcels)
    first, second = made(context, snapshot), made(context, snapshot)
    assert (first.table, first.data_version) == (second.table, second.data_version)


def test_the_accepted_rows_of_the_record_are_read_not_newer_ones(step, accept, parcels):
    context = step()
    then = accept(context, parcels.head(100))
    accept(context, parcels)
    assert made(context, then).table.rows == 100


def test_FS2_a_second_table_is_joined_as_it_was_known(step, accept, parcels):
    context = step()
    name = context.table("lookups/depot")
    hours = pd.date_range("2025-12-31T23:00", periods=100, freq="D", tz="UTC")
    depot = pa.table({"shop": [1] * 100, "hour": hours, "queue": range(100), "_batch": [1] * 100})
    first = context.bench.tables.overwrite(name, depot)
    context.bench.tables.overwrite(name, depot.slice(0, 1))
    joins = {"depot": LookupJoin(key=("shop",), event_time="hour")}
    snapshot = accept(context, parcels, lookups={"depot": first.ref})
    record = made(context, snapshot, joins=joins)
    rows = table_of(context, record).table.to_pandas()
    there = rows[rows["shop"] == 1]
    assert "depot_queue" in record.columns
    assert (there["depot_queue"] == (there["seen"] - hours[0]).dt.days).all()
    assert not [one for one in rows.columns if one.endswith("_batch")]


def test_a_lookup_that_was_never_ingested_is_said(step, accept, parcels):
    context = step()
    joins = {"depot": LookupJoin(key=("shop",))}
    with pytest.raises(DataNotFitError, match="second table 'depot' is declared"):
        made(context, accept(context, parcels), joins=joins)


def test_an_unknown_function_is_named_with_the_nearest(step, accept, project, parcels):
    module = project(GOOD)
    context = step()
    with pytest.raises(SpecError, match="Did you mean 'doubled'"):
        made(context, accept(context, parcels), functions=(f"{module}:doubeld",))


def test_the_stage_is_identified_by_rows_lookups_and_code(step, accept, project, parcels):
    module = project(GOOD)
    context = step()
    snapshot = accept(context, parcels)
    stage = build_stage(context.model, FeaturesSpec(functions=(f"{module}:doubled",)), joins={})
    told = stage.identify(context, snapshot)
    assert told == stage.identify(context, snapshot)
    newer = dataclasses.replace(snapshot, lookups={"depot": snapshot.table})
    assert stage.identify(context, newer) != told
    other = build_stage(
        context.model, FeaturesSpec(functions=(f"{project(GOOD + 'X = 1')}:doubled",)), joins={}
    )
    assert other.identify(context, snapshot) != told
    assert [check.name for check in stage.checks if check.blocking] == ["no_leaked_target"]
