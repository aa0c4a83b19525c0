"""Real processes that are cheap to start: forked from one that has everything imported and no threads."""

import json
import os
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Tell = Callable[[Any], None]
"""Tells the parent a JSON value; what was told before a SIGKILL arrives all the same."""


@dataclass(frozen=True, slots=True)
class Child:
    """A forked process under way.

    Attributes:
        pid: Its id.
    """

    pid: int
    _pipe: int

    def ended(self) -> "Ended":
        """Wait for its end.

        Raises:
            RuntimeError: When it raised an exception, with its traceback.
        """
        with os.fdopen(self._pipe, encoding="utf-8") as pipe:
            told = [json.loads(line) for line in pipe]
        status = os.waitpid(self.pid, 0)[1]
        if told and isinstance(told[-1], dict) and "traceback" in told[-1]:
            raise RuntimeError(told[-1]["traceback"])
        return Ended(told, os.WTERMSIG(status) if os.WIFSIGNALED(status) else None)


@dataclass(frozen=True, slots=True)
class Ended:
    """A forked process that has ended.

    Attributes:
        told: What it told.
        signal: The signal that killed it, or None.
    """

    told: list[Any]
    signal: int | None


def fork(work: Callable[[Tell], object]) -> Child:
    """Fork a process that does ``work``."""
    read, write = os.pipe()
    pid = os.fork()
    if pid:
        os.close(write)
        return Child(pid, read)
    os.close(read)
    write_to_pipe = os.write  # as it is now, whatever wraps it later

    def tell(value: Any) -> None:
        write_to_pipe(write, json.dumps(value).encode() + b"\n")

    code = 0
    try:
        work(tell)
    except BaseException:  # noqa: BLE001 - told to the parent
        tell({"traceback": traceback.format_exc()})
        code = 1
    os._exit(code)


def forked(work: Callable[[Tell], object]) -> Ended:
    """Do ``work`` in a forked process, and wait for its end."""
    return fork(work).ended()
