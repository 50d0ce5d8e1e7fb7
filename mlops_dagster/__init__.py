"""One declaration of a model becomes its whole life in Dagster.

records.py      what one room hands to the next: start reading here
spec.py         `LifecycleSpec`, the declaration; lifecycle.py turns it into Dagster definitions
<room>/         ingest validate features train evaluate register deploy serve monitor retrain:
                each declares (spec.py), decides (pure), works (run.py) and shows itself (assets.py)
stage.py        how any room becomes an asset; workbench.py: the stores, compute and clock it uses
stores/         tables, tracking, registry, operations, records: one contract and one default each
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlops_dagster.components import ModelLifecycle
    from mlops_dagster.declaration_file import load_lifecycle
    from mlops_dagster.errors import (
        ConflictError,
        DataNotFitError,
        GateRefusedError,
        MissingExtraError,
        MlopsError,
        SpecError,
        StoreError,
    )
    from mlops_dagster.lifecycle import build_lifecycle, build_shared_sensors, declared
    from mlops_dagster.spec import LifecycleSpec
    from mlops_dagster.workbench import Workbench

_WHERE = {
    "ConflictError": "errors",
    "DataNotFitError": "errors",
    "GateRefusedError": "errors",
    "LifecycleSpec": "spec",
    "MissingExtraError": "errors",
    "MlopsError": "errors",
    "ModelLifecycle": "components",
    "SpecError": "errors",
    "StoreError": "errors",
    "Workbench": "workbench",
    "build_lifecycle": "lifecycle",
    "build_shared_sensors": "lifecycle",
    "declared": "lifecycle",
    "load_lifecycle": "declaration_file",
}

__all__ = [
    "ConflictError",
    "DataNotFitError",
    "GateRefusedError",
    "LifecycleSpec",
    "MissingExtraError",
    "MlopsError",
    "ModelLifecycle",
    "SpecError",
    "StoreError",
    "Workbench",
    "build_lifecycle",
    "build_shared_sensors",
    "declared",
    "load_lifecycle",
]


def __getattr__(name: str) -> object:
    if name not in _WHERE:
        message = f"module 'mlops_dagster' has no attribute {name!r}"
        raise AttributeError(message)
    from importlib import import_module

    return getattr(import_module(f"mlops_dagster.{_WHERE[name]}"), name)
