"""Side-by-side measurements, each one command, results in a table."""
