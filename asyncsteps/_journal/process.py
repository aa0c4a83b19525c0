"""Whether the process of a run still lives, as far as this machine can tell."""

import functools
import os
from pathlib import Path

_PROC = Path("/proc")


def process_mark() -> str | None:
    """Return what tells this process from every other, before and after it; None where the system cannot."""
    return _mark_of(os.getpid())


def lives(mark: str | None) -> bool | None:
    """Whether the process of a mark lives; None when it is one of another machine or container, or unknown."""
    machine = _machine()
    if machine is None or mark is None or not mark.startswith(f"{machine}:"):
        return None
    pid = mark.removeprefix(f"{machine}:").partition(":")[0]
    return pid.isdecimal() and _mark_of(int(pid)) == mark


def _mark_of(pid: int) -> str | None:
    machine = _machine()
    if machine is None:
        return None
    try:
        # The command's name, in parentheses, may hold anything; the start is the 22nd field, the state the third.
        fields = (
            (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        )
    except OSError:
        return None
    state, began = fields[0], fields[19]
    return None if state in {"Z", "X"} else f"{machine}:{pid}:{began}"


@functools.cache
def _machine() -> str | None:
    """Return what the processes that this one can see have in common: the boot, and the namespace of their ids."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}:{(_PROC / 'self/ns/pid').stat().st_ino}"
    except OSError:
        return None
