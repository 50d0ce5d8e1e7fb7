"""Who a process is, so that another one on the same host can tell whether it still lives."""

import os
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ProcessName:
    """A process as others see it. `host` is where its `pid` means something.

    `started` tells two processes apart that were given the same number one after the other.
    """

    host: str
    pid: int
    started: str

    @classmethod
    def own(cls) -> "ProcessName":
        """Name this process."""
        return cls(host=_host(), pid=os.getpid(), started=_started(os.getpid()))

    def is_gone(self, *, seen_from: "ProcessName") -> bool:
        """Tell whether it surely ended; of another host, container or boot that is never sure."""
        if self.host != seen_from.host:
            return False
        return not _is_alive(self.pid) or _started(self.pid) != self.started


def _host() -> str:
    """Name the host, its boot and the space of process numbers (containers may share the rest)."""
    boot = space = ""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    with suppress(OSError):
        space = str(Path("/proc/self/ns/pid").readlink())
    return f"{socket.gethostname()} {boot} {space}".strip()


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return not _is_zombie(pid)


def _is_zombie(pid: int) -> bool:
    return _stat(pid)[:1] == ["Z"]


def _started(pid: int) -> str:
    """Tell when a process started, in the kernel's ticks; empty where there is no /proc."""
    fields = _stat(pid)
    return fields[19] if len(fields) > 19 else ""


def _stat(pid: int) -> list[str]:
    """Read the fields after the command's name, which may hold spaces and brackets."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
