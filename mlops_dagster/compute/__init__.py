"""Where work runs: relational work, batches, tasks. One seam; local is DuckDB and threads."""
