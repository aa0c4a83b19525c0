"""A shim over the system calls by which Python code changes files: it records them, and kills before the n-th.

`KNOWN` names the calls that are wrapped. A change that they do not cover is refused, so that no call escapes
unseen: an audit hook sees other functions that take a path, and `UNKNOWN` names those that it does not see.
"""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

KNOWN = ("open", "write", "fsync", "close", "mkdir", "rmdir", "unlink", "remove", "replace", "rename", "link")
"""What is wrapped. ``open`` counts as a change where it creates, ``close`` never."""

UNKNOWN = (
    *("pwrite", "writev", "pwritev", "sendfile", "copy_file_range", "splice", "posix_fallocate"),
    *("ftruncate", "fchmod", "fchown", "fdatasync", "dup", "dup2", "fdopen", "mkfifo", "mknod"),
)
"""What no audit hook sees, and is refused below the directory: the store does not use it."""

_HARMLESS = {"os.scandir", "os.listdir", "os.walk", "os.chdir", "os.getxattr", "os.listxattr"}
_CREATES = os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_RDWR | os.O_APPEND

Call = list[str]
"""The name of a call and its paths; for an ``fsync`` or ``write``, the path that was opened."""


class UncoveredCallError(AssertionError):
    """Code changed a file by a call that the shim does not know."""


class SystemCalls:
    """Wraps the calls in this process, for good; use it in a process of its own.

    Args:
        base: The directory; calls on paths elsewhere are let through and not counted.
        record: Called with each call before it is made.
        kill_at: The number of the call before which the process is killed; None: none is.
        torn: Whether a write at that number is made half.
    """

    def __init__(
        self, base: Path, record: Callable[[Call], None], *, kill_at: int | None = None, torn: bool = False
    ) -> None:
        self._base = str(base)
        self._record = record
        self._kill_at = kill_at
        self._torn = torn
        self._count = 0
        self._paths: dict[int, str] = {}
        self._local = threading.local()
        self._lock = threading.Lock()
        for name in KNOWN:
            setattr(os, name, self._wrapped(name, getattr(os, name)))
        for name in UNKNOWN:
            setattr(os, name, self._refused(name, getattr(os, name)))
        sys.addaudithook(self._audit)

    def _wrapped(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            paths = self._paths_of(name, args, kwargs.get("dir_fd"))
            if not paths:
                return call(*args, **kwargs)
            if name == "close":
                del self._paths[args[0]]
                return call(*args, **kwargs)
            changes = name != "open" or args[1] & _CREATES
            with self._lock if changes else contextlib.nullcontext(), self._known():
                if changes:  # one at a time, so that they take effect in the order in which they are recorded
                    self._pass([name, *paths], call, args)
                result = call(*args, **kwargs)
            if name == "open":
                self._paths[result] = paths[0]
            return result

        return wrapper

    def _refused(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            if any((isinstance(each, int) and each in self._paths) or self._is_below(each) for each in args):
                raise UncoveredCallError(f"os.{name}{args!r}")
            return call(*args, **kwargs)

        return wrapper

    def _paths_of(self, name: str, args: tuple[Any, ...], directory: int | None) -> list[str]:
        if directory in self._paths:
            return [f"{self._paths[directory]}/{os.fspath(args[0])}"]
        if name in {"write", "fsync", "close"}:
            return [self._paths[args[0]]] if args[0] in self._paths else []
        paths = [os.fspath(each) for each in args[: 2 if name in {"replace", "rename", "link"} else 1]]
        return paths if any(self._is_below(path) for path in paths) else []

    def _is_below(self, path: object) -> bool:
        if not isinstance(path, str | os.PathLike):
            return False
        path = os.fspath(path)
        return path == self._base or path.startswith(f"{self._base}/")

    def _pass(self, call: Call, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
        if self._count == self._kill_at:
            if self._torn and call[0] == "write":
                function(args[0], args[1][: len(args[1]) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        self._count += 1
        self._record(call)

    @contextlib.contextmanager
    def _known(self) -> Iterator[None]:
        self._local.inside = True
        try:
            yield
        finally:
            self._local.inside = False

    def _audit(self, event: str, args: tuple[Any, ...]) -> None:
        if getattr(self._local, "inside", False) or event in _HARMLESS:
            return
        if event == "open":
            if not self._is_below(args[0]) or not isinstance(args[2], int) or not args[2] & _CREATES:
                return
        elif not any(self._is_below(each) for each in args) or not event.startswith(("os.", "shutil.")):
            return
        raise UncoveredCallError(f"{event} {args!r}")
