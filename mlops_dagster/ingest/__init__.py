"""Reads a model's source, incrementally, into `raw_data`: the same input twice adds no row."""
