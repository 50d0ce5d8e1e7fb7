"""A code location that reads like a user's own project."""
