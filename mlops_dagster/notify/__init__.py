"""Tell people: one message when something is wrong, one when it is over."""
