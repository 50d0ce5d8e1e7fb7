"""The Dagster component: `type: mlops_dagster.components.ModelLifecycle` in a `defs.yaml`.

Every `dg` command imports this module, so it loads nothing heavy.
"""

from mlops_dagster.components.model_lifecycle import ModelLifecycle

__all__ = ["ModelLifecycle"]
