"""Make the embedded MLflow database of a new home."""

from mlops_dagster.resources import WORKBENCH

if __name__ == "__main__":
    WORKBENCH.open().registry.versions("nothing")
