"""Evidently's side of `make bench-drift`, in an environment of its own: its default drift preset."""

import json
import resource
import sys
import time

BEGAN = time.perf_counter()

import pandas as pd  # noqa: E402
from evidently import DataDefinition, Dataset, Report  # noqa: E402
from evidently.presets import DataDriftPreset  # noqa: E402

IMPORTED = time.perf_counter()


def main(reference: str, current: str) -> None:
    """Judge one file against the other; tell seconds, memory and distances as JSON."""
    before, now = (pd.read_parquet(one) for one in (reference, current))
    labels = [name for name in before.columns if name.startswith("c")]
    numbers = [name for name in before.columns if name not in labels]
    kinds = DataDefinition(numerical_columns=numbers, categorical_columns=labels)
    sides = [Dataset.from_pandas(one, data_definition=kinds) for one in (now, before)]
    found = Report([DataDriftPreset()]).run(*sides).dict()
    done = time.perf_counter()
    values = {}
    for metric in found["metrics"]:
        column = metric.get("config", {}).get("column")
        if column and isinstance(metric["value"], float):
            values[column] = metric["value"]
    told = {
        "import_s": IMPORTED - BEGAN,
        "total_s": done - BEGAN,
        "cpu_s": time.process_time(),
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "values": values,
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
