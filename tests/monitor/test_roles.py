"""A challenger's answers beside the live version's."""

from datetime import timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from mlops_dagster.monitor.roles import compare_roles
from tests.monitor.conftest import START, week_of_rows


def answered(role: str, version: str, ids, *, likely, at=START, suffix="") -> pa.Table:
    likely = np.asarray(likely, dtype=float)
    return pa.table(
        {
            "prediction_id": [f"r{one}-0{suffix}" for one in ids],
            "id": pa.array(ids, pa.int64()),
            "role": [role] * len(likely),
            "model_version": [version] * len(likely),
            "prediction": (likely >= 0.5).astype(np.int64),
            "probability": likely,
            "scored_at": pa.array([at] * len(likely), pa.timestamp("us", "UTC")),
        }
    )


@pytest.fixture
def known(shop):
    """Rows 0 to 99, every other one late; 100 to 199 not known yet."""
    rows = week_of_rows(0, rows=200)
    late = [at % 2 if at < 100 else None for at in range(200)]
    validated = shop.arrive(rows.assign(late=pd.array(late, dtype="Int64")))
    return shop, validated


def test_DP2_a_shadow_is_compared_on_the_same_rows_and_on_what_came_true(known):
    shop, validated = known
    ids = list(range(200))
    tables = shop.context.bench.tables
    tables.append("shop/all/predictions", answered("live", "1", ids, likely=[0.4] * 200))
    right = [0.9 if at % 2 else 0.1 for at in ids]
    shadow = answered("shadow", "2", ids, likely=right, suffix="/shadow")
    tables.append("shop/all/predictions", shadow)
    [told] = compare_roles(shop.context, validated, live="1")
    assert (told.role, told.version, told.rows, told.live_rows) == ("shadow", "2", 200, 200)
    assert (told.score, told.live_score) == pytest.approx((0.5, 0.4))
    assert (told.agree, told.apart) == pytest.approx((0.5, 0.4))
    assert (told.labelled, told.error, told.live_error) == (100, 0.0, 0.5)


def test_DP2_a_canary_is_compared_with_the_live_answers_of_its_time(known):
    shop, validated = known
    tables = shop.context.bench.tables
    early = answered("live", "1", list(range(50)), likely=[0.9] * 50)
    now = START + timedelta(hours=1)
    beside = answered("live", "1", list(range(50, 150)), likely=[0.2] * 100, at=now)
    canary = answered("canary", "2", list(range(150, 200)), likely=[0.6] * 50, at=now)
    for rows in (early, beside, canary):
        tables.append("shop/all/predictions", rows)
    [told] = compare_roles(shop.context, validated, live="1")
    assert (told.role, told.rows, told.live_rows) == ("canary", 50, 100)
    assert (told.score, told.live_score) == pytest.approx((0.6, 0.2))
    assert told.agree is None
    assert (told.labelled, told.live_labelled, told.live_error) == (0, 50, 0.5)


def test_the_monitoring_asset_shows_the_comparison(known):
    shop, validated = known
    shop.crown("1", week_of_rows(0))
    ids = list(range(10))
    tables = shop.context.bench.tables
    tables.append("shop/all/predictions", answered("live", "1", ids, likely=[0.4] * 10))
    shadow = answered("shadow", "2", ids, likely=[0.6] * 10, suffix="/shadow")
    tables.append("shop/all/predictions", shadow)
    shown = shop.look(validated).shown["challenger"].value
    assert (
        "| version 2 | shadow, on the same rows | 10 | 0.6000 | 0.4000 | 0.0% | 0.2000 |" in shown
    )


def test_nobody_beside_is_no_comparison(known):
    shop, validated = known
    assert compare_roles(shop.context, validated, live="1") == []
    alone = answered("live", "1", list(range(5)), likely=[0.4] * 5)
    shop.context.bench.tables.append("shop/all/predictions", alone)
    assert compare_roles(shop.context, validated, live="1") == []
