"""Let a version serve: alias `champion` by a sequence that can be interrupted anywhere."""
