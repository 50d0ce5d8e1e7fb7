"""The sides of the lifecycle benchmark, each a function: `prepare` for all, and those of `SIDES`."""

import datetime as dt
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path


def prepare() -> None:
    """Make the MLflow database, which takes seconds on the first day alone."""
    from mlops_dagster.resources import WORKBENCH

    bench = WORKBENCH.open()
    bench.registry.versions("nothing")
    bench.operations.moves("nothing", "all")
    import dagster as dg

    dg.DagsterInstance.get().get_runs(limit=1)


def run() -> None:
    """Run what a person types: `mlops-dagster run flight_delay`."""
    from mlops_dagster.cli.main import console

    sys.argv = ["mlops-dagster", "run", "flight_delay"]
    console()


def floor() -> None:
    """Nine assets that do nothing, on the same instance, and one question to MLflow's registry."""
    from mlflow.tracking import MlflowClient

    MlflowClient(f"sqlite:///{os.environ['MLOPS_HOME']}/mlflow.db").search_model_versions()
    nine_assets(lambda: None)


def by_hand() -> None:
    """The plain script as a Dagster job of nine assets."""
    nine_assets(plain)


def nine_assets(work: Callable[[], None]) -> None:
    """Run a job of nine assets in this process; the last one does the work."""
    logging.getLogger("dagster").setLevel(logging.CRITICAL)
    import dagster as dg

    from assets.flight_delay.play import QUIET

    def asset(at: int) -> dg.AssetsDefinition:
        @dg.asset(name=f"step_{at}", deps=[f"step_{at - 1}"] if at else [])
        def step() -> None:
            if at == 8:
                work()

        return step

    job = dg.define_asset_job("nine")
    defs = dg.Definitions(assets=[asset(at) for at in range(9)], jobs=[job])
    result = defs.resolve_job_def("nine").execute_in_process(
        instance=dg.DagsterInstance.get(), run_config=QUIET
    )
    sys.exit(0 if result.success else 1)


def proved() -> None:
    """The plain script, and the proof that a process without its source can score with the model."""
    plain()
    home = Path(os.environ["MLOPS_HOME"])
    load = (
        "import sys, pandas, mlflow; mlflow.set_tracking_uri(sys.argv[1]); "
        "mlflow.pyfunc.load_model('models:/plain@champion').predict(pandas.read_parquet(sys.argv[2]))"
    )
    asked = [f"sqlite:///{home / 'mlflow.db'}", str(home / "example.parquet")]
    subprocess.run([sys.executable, "-I", "-c", load, *asked], check=True)


def plain() -> None:
    """The same steps as a person would write them, with the same libraries."""
    import duckdb
    import pyarrow as pa
    from deltalake import write_deltalake

    from assets.flight_delay.features import calendar, weather
    from assets.flight_delay.source import departures
    from assets.flight_delay.source import weather as hours

    home = Path(os.environ["MLOPS_HOME"])
    rows, lookup = departures(), hours()
    write_deltalake(str(home / "raw"), pa.Table.from_pandas(rows, preserve_index=False))
    write_deltalake(str(home / "weather"), pa.Table.from_pandas(lookup, preserve_index=False))
    validate(rows)
    write_deltalake(str(home / "validated"), pa.Table.from_pandas(rows, preserve_index=False))
    names = {n: f"weather_{n}" for n in lookup if n not in ("origin", "time_hour")}
    renamed = lookup.rename(columns=names)  # noqa: F841 - DuckDB finds it by name
    joined = duckdb.sql(
        "SELECT rows.*, renamed.* EXCLUDE (origin, time_hour) FROM rows ASOF LEFT JOIN renamed "
        "ON rows.origin = renamed.origin AND rows.scheduled_departure >= renamed.time_hour"
    ).df()
    table = weather(calendar(joined)).sort_values("scheduled_departure", ignore_index=True)
    write_deltalake(str(home / "features"), pa.Table.from_pandas(table, preserve_index=False))
    fit_and_log(home, table)


def validate(rows: object) -> None:
    """Judge the rows with the same suite."""
    import yaml

    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    import great_expectations as gx

    path = Path(__file__).parent.parent / "assets" / "flight_delay" / "lifecycle.yaml"
    suite = yaml.safe_load(path.read_text())["attributes"]["validate"]["expectations"]
    context = gx.get_context(mode="ephemeral")
    batch = (
        context.data_sources.add_pandas("p")
        .add_dataframe_asset("a")
        .add_batch_definition_whole_dataframe("b")
        .get_batch(batch_parameters={"dataframe": rows})
    )
    result = batch.validate(
        gx.ExpectationSuite(name="s", expectations=suite), result_format="SUMMARY"
    )
    if not result.success:
        sys.exit("the plain script's rows do not pass the suite")


def fit_and_log(home: Path, table: object) -> None:
    """Fit, measure with two baselines and slices, draw, log, register, deploy, score and watch."""
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OrdinalEncoder

    known = table[table["late"].notna()]
    columns = [n for n in table if n not in ("flight_id", "scheduled_departure", "late")]
    words = ["carrier", "origin", "dest"]
    cut = known["scheduled_departure"].max() - dt.timedelta(days=14)
    train = known[known["scheduled_departure"] <= cut]
    test = known[known["scheduled_departure"] > cut]
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=float("nan"))
    model = make_pipeline(
        make_column_transformer((encoder, words), remainder="passthrough"),
        HistGradientBoostingClassifier(max_iter=100, random_state=7),
    )
    model.fit(train[columns], train["late"])
    figures = measure(model, train, test, columns)
    test[columns].head(5).to_parquet(home / "example.parquet")
    log(home, model, figures, test[columns])
    waiting = table[table["late"].isna()]
    score(home, model, waiting, columns)
    watch(train, waiting, columns)


def score(home: Path, model: object, waiting: object, columns: list[str]) -> None:
    """Answer the rows without an outcome, and keep the answers."""
    import pyarrow as pa
    from deltalake import write_deltalake

    likely = model.predict_proba(waiting[columns])[:, 1]
    answers = waiting[["flight_id", "scheduled_departure"]].assign(probability=likely)
    write_deltalake(str(home / "predictions"), pa.Table.from_pandas(answers, preserve_index=False))


def watch(train: object, waiting: object, columns: list[str]) -> None:
    """Tell how old the rows are, and how far each column is from what was learned from."""
    from scipy.spatial.distance import jensenshannon
    from scipy.stats import ks_2samp

    print("newest row:", waiting["scheduled_departure"].max())
    for name in columns:
        before, now = train[name].dropna(), waiting[name].dropna()
        if before.dtype.kind == "f":
            print(name, ks_2samp(before, now).statistic)
        else:
            both = [one.value_counts(normalize=True) for one in (before, now)]
            shares = both[0].to_frame("before").join(both[1].rename("now"), how="outer").fillna(0.0)
            print(name, jensenshannon(shares["before"], shares["now"]))


def measure(model: object, train: object, test: object, columns: list[str]) -> dict[str, float]:
    """Metrics, slices, a dummy and a linear baseline, permutation importance."""
    from sklearn.compose import make_column_transformer
    from sklearn.dummy import DummyClassifier
    from sklearn.impute import SimpleImputer
    from sklearn.inspection import permutation_importance
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    words = ["carrier", "origin", "dest"]
    numbers = [n for n in columns if n not in words]
    sample = train.sample(20_000, random_state=7)
    linear = make_pipeline(
        make_column_transformer(
            (OneHotEncoder(handle_unknown="ignore"), words),
            (make_pipeline(SimpleImputer(), StandardScaler()), numbers),
        ),
        LogisticRegression(max_iter=300),
    )
    linear.fit(sample[columns], sample["late"])
    dummy = DummyClassifier(strategy="prior").fit(sample[columns], sample["late"])
    figures = {}
    for name, one in (("", model), ("simple.", linear), ("dummy.", dummy)):
        likely = one.predict_proba(test[columns])[:, 1]
        figures[f"{name}log_loss"] = log_loss(test["late"], likely)
        figures[f"{name}roc_auc"] = roc_auc_score(test["late"], likely)
        figures[f"{name}brier"] = brier_score_loss(test["late"], likely)
    scored = test.assign(likely=model.predict_proba(test[columns])[:, 1])
    for slice_ in ("carrier", "origin"):
        for value, rows in scored.groupby(slice_):
            if rows["late"].nunique() == 2:
                figures[f"roc_auc.{slice_}.{value}"] = roc_auc_score(rows["late"], rows["likely"])
    few = test.sample(2_000, random_state=7)
    permutation_importance(model, few[columns], few["late"], n_repeats=2, random_state=7)
    return figures


def log(home: Path, model: object, figures: dict[str, float], example: object) -> None:
    """Draw, log with explicit requirements, register, and set the alias once the version answers."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt
    import mlflow
    from mlflow.models import infer_signature

    mlflow.set_tracking_uri(f"sqlite:///{home / 'mlflow.db'}")
    place = (home / "artifacts").as_uri()
    mlflow.set_experiment(experiment_id=mlflow.create_experiment("plain", artifact_location=place))
    with mlflow.start_run(), tempfile.TemporaryDirectory() as folder:
        mlflow.log_params({"max_iter": 100, "seed": 7})
        mlflow.log_metrics(figures)
        for name in ("roc", "calibration", "confusion", "slices", "importance"):
            figure, axis = plt.subplots(figsize=(5, 4))
            axis.plot(list(figures.values())[:6])
            figure.savefig(Path(folder) / f"{name}.png", dpi=90)
            plt.close(figure)
        mlflow.log_artifacts(folder, "pictures")
        logged = mlflow.sklearn.log_model(
            model,
            name="model",
            signature=infer_signature(example.head(100), model.predict_proba(example.head(100))),
            pip_requirements=["scikit-learn", "pandas"],
            pyfunc_predict_fn="predict_proba",
            serialization_format="cloudpickle",
        )
    version = mlflow.register_model(logged.model_uri, "plain")
    mlflow.pyfunc.load_model(f"models:/plain/{version.version}").predict(example.head(5))
    mlflow.MlflowClient().set_registered_model_alias("plain", "champion", version.version)


if __name__ == "__main__":
    globals()[sys.argv[1]]()
