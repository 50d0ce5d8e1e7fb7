"""The command line: one file per command; none is loaded before it is asked for."""
