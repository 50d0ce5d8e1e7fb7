"""How much an endpoint answers on this machine: driven from a process of its own, told as a table."""
