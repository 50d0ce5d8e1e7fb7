"""What a process and its children hold of memory and spent of the CPU, read from /proc."""

import os
from pathlib import Path


def memory_of(pid: int) -> tuple[float, float]:
    """Sum RSS and PSS over a process and all below it, in MiB."""
    sums = {"Rss:": 0, "Pss:": 0}
    for one in tree_of(pid):
        for line in Path(f"/proc/{one}/smaps_rollup").read_text().splitlines():
            name, _, rest = line.partition(" ")
            if name in sums:
                sums[name] += int(rest.split()[0])
    return sums["Rss:"] / 1024, sums["Pss:"] / 1024


def tree_of(pid: int) -> list[int]:
    """List a process and all below it."""
    children = [
        int(one)
        for task in Path(f"/proc/{pid}/task").iterdir()
        for one in (task / "children").read_text().split()
    ]
    return [pid, *(below for child in children for below in tree_of(child))]


def cpu_of(pid: int) -> float:
    """Sum user and system time over a process and all below it, in seconds."""
    ticks = 0
    for one in tree_of(pid):
        fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")
