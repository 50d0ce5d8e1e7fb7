"""Give a candidate a version in the registry: accepted as `challenger`, or refused with the reason."""
