"""This package's side of `make bench-drift`: both files profiled, every column judged."""

import json
import resource
import sys
import time

BEGAN = time.perf_counter()

import pyarrow.dataset as pads  # noqa: E402

from mlops_dagster.monitor.drift import judge_drift  # noqa: E402
from mlops_dagster.monitor.spec import DriftSpec  # noqa: E402
from mlops_dagster.profiles.tables import profile_of  # noqa: E402

IMPORTED = time.perf_counter()


def main(reference: str, current: str) -> None:
    """Judge one file against the other; tell seconds, memory and distances as JSON."""
    before = profile_of(pads.dataset(reference))
    profiled = time.perf_counter()
    now = profile_of(pads.dataset(current), edges_from=before)
    verdicts = judge_drift(before, now, spec=DriftSpec())
    done = time.perf_counter()
    told = {
        "import_s": IMPORTED - BEGAN,
        "reference_s": profiled - IMPORTED,
        "current_s": done - profiled,
        "total_s": done - BEGAN,
        "cpu_s": time.process_time(),
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "values": {one.column: one.value for one in verdicts},
        "ks": {one.column: one.ks for one in verdicts},
        "spread": {name: getattr(one, "core_sd", 1.0) for name, one in before.columns.items()},
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
