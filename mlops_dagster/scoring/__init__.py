"""The one path that loads a verified model and scores. Dagster-free."""
