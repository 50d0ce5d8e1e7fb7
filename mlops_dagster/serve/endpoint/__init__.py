"""The live endpoint: asks the champion over HTTP, and keeps every answer. Never loads Dagster."""
