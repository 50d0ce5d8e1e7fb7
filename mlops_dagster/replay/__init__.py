"""Runs rooms in order without Dagster: a model's history is played again under other policies."""
