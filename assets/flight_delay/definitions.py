"""The code location: one declaration, built."""

from pathlib import Path

from mlops_dagster import build_lifecycle, load_lifecycle

flight_delay = load_lifecycle(Path(__file__).with_name("lifecycle.yaml"))
defs = build_lifecycle(flight_delay)
