"""Whether the stores know a model: a name that they never saw is a slip, not a model without news."""

from typing import TYPE_CHECKING

from mlops_dagster.cli.location import open_bench
from mlops_dagster.cli.model_argument import registry_name, split_name
from mlops_dagster.cli.status_dagster import was_started
from mlops_dagster.errors import SpecError, StoreError, nearest

if TYPE_CHECKING:
    from mlops_dagster.workbench import Workbench

_STORE = "record store"


def bench_of(model: str) -> "Workbench":
    """Open the stores that know a model. Raises: SpecError naming the known ones when they do not."""
    bench = open_bench()
    known = models_of_the_lake(bench)
    if model in known or (is_made(bench) and has_trace(bench, model)) or was_started(model):
        return bench
    hint = nearest(model, known) if known else "Nothing ran there yet."
    message = (
        f"There is no trace of a model {model!r} in {bench.home}. {hint} "
        "The first trace is left by its first run: mlops-dagster run NAME"
    )
    raise SpecError(message)


def is_made(bench: "Workbench") -> bool:
    """Tell whether there are stores to ask: to open embedded ones would make them."""
    elsewhere = bench.operations_url or bench.tracking_uri
    return bool(elsewhere) or (bench.home / "operations.db").exists()


def has_trace(bench: "Workbench", model: str) -> bool:
    """Tell whether a model was ever decided on, moved, watched or registered."""
    address, operations = split_name(model), bench.operations
    if operations.decisions(*address, limit=1) or operations.moves(*address):
        return True
    if operations.findings(*address, limit=1) or operations.pointer(*address, "validated_data"):
        return True
    registered = bench.tracking_uri or (bench.home / "mlflow.db").exists()
    return bool(registered and bench.registry.versions(registry_name(model)))


def models_of_the_lake(bench: "Workbench") -> list[str]:
    """List the models that have records, as `name` or `name/segment`."""
    from fsspec.core import url_to_fs

    root = f"{bench.lake_root}/records"
    try:
        files, place = url_to_fs(root)
        found = [path.split("/")[-2:] for path in files.glob(f"{place}/*/*/")]
    except (ImportError, OSError, ValueError) as error:
        raise StoreError.unreachable(_STORE, root, error) from error
    return sorted(name if segment == "all" else f"{name}/{segment}" for name, segment in found)
