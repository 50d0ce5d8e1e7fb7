"""NannyML's side of `make bench-drift`, in an environment of its own: its default univariate drift."""

import json
import resource
import sys
import time

BEGAN = time.perf_counter()

import nannyml as nml  # noqa: E402
import pandas as pd  # noqa: E402

IMPORTED = time.perf_counter()


def main(reference: str, current: str) -> None:
    """Judge one file against the other; tell seconds, memory and distances as JSON."""
    before, now = (pd.read_parquet(one) for one in (reference, current))
    labels = [name for name in before.columns if name.startswith("c")]
    calculator = nml.UnivariateDriftCalculator(
        column_names=list(before.columns), treat_as_categorical=labels, chunk_number=1
    )
    calculator.fit(before)
    found = calculator.calculate(now).filter(period="analysis").to_df(multilevel=True)
    done = time.perf_counter()
    values = {
        name: float(found[(name, "jensen_shannon", "value")].iloc[0]) for name in before.columns
    }
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
