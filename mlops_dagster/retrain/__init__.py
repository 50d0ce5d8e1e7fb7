"""Decide when to run: findings and arrivals in, at most one run request out, with the reason."""
