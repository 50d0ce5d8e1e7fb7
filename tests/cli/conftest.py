from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa


@pytest.fixture(scope="session")
def tables(tmp_path_factory) -> Path:
    """A folder of tables as people have them."""
    from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine

    folder = tmp_path_factory.mktemp("tables")
    load_breast_cancer(as_frame=True).frame.to_csv(folder / "cancer.csv", index=False)
    load_diabetes(as_frame=True).frame.to_parquet(folder / "diabetes.parquet", index=False)
    messy_rows().to_csv(folder / "messy.csv", index=False)
    wine = load_wine(as_frame=True).frame
    wine.to_sql("wine", sa.create_engine(f"sqlite:///{folder / 'cellar.db'}"), index=False)
    return folder


def messy_rows() -> pd.DataFrame:
    random = np.random.default_rng(0)
    count = 300
    plan = random.choice(["basic", "plus", "pro"], count)
    left = ((plan == "basic") & (random.random(count) < 0.8)) | (random.random(count) < 0.05)
    calls = pd.date_range("2024-02-01", periods=count, freq="7h").strftime("%Y-%m-%d %H:%M")
    return pd.DataFrame(
        {
            "Customer ID": [f"c{number:04}" for number in range(count)],
            "signed up": pd.date_range("2024-01-01", periods=count).strftime("%Y-%m-%d"),
            "age in years": np.where(
                random.random(count) < 0.1, np.nan, random.integers(18, 80, count)
            ),
            "plan (type)": np.where(random.random(count) < 0.05, None, plan),
            "mixed": ["12" if number % 3 else "n/k" for number in range(count)],
            "empty": None,
            "country": "DE",
            "last call": np.where(random.random(count) < 0.1, None, calls),
            "spent": random.lognormal(3, 1, count).round(2),
            "left": np.where(left, "yes", "no"),
            "left code": left.astype(int),
        }
    )
