"""Arrays in, floats out: how good a model is, how far data moved, what is too far. No I/O."""
