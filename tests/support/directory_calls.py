"""For tests of the directory store: records, holds up and fails the calls by which it marks."""

import asyncio
import contextlib
import os
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from asyncsteps.store import DirectoryStore
from asyncsteps.store._directory.files import TEMPORARY

RECORD = {"run_id": "r1"}


class Calls:
    """Records the calls that change the directory, and what they raise or wait for.

    Attributes:
        made: Each call's name and the file name that it is about, as it ends.
        threads: The threads that made them.
        before: Called before each call with its name and its file name; it may raise.
    """

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.made: list[tuple[str, str]] = []
        self.threads: set[int] = set()
        self.before: Callable[[str, str], object] = lambda _call, _name: None
        for call in ("open", "write", "fsync", "link", "replace", "unlink"):
            patch.setattr(os, call, self._recorded(call, getattr(os, call)))

    def _recorded(self, call: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*args: Any, **options: Any) -> Any:
            if call == "open" and not args[1] & os.O_CREAT:
                return function(*args, **options)
            path = Path(f"/proc/self/fd/{args[0]}").readlink() if isinstance(args[0], int) else Path(args[0])
            name = Path(args[1]).name if call in {"link", "replace"} else path.name
            call_made = "fsync directory" if call == "fsync" and path.is_dir() else call
            self.before(call_made, name)
            result = function(*args, **options)
            self.made.append((call_made, name))
            self.threads.add(threading.get_ident())
            return result

        return wrapper

    def count(self) -> Counter[str]:
        return Counter(call for call, _ in self.made)

    def clear(self) -> None:
        self.made.clear()
        self.threads.clear()


class Gate:
    """Holds up one call in its thread until it is opened."""

    def __init__(self, calls: Calls, call: str) -> None:
        self.reached = asyncio.Event()
        self._open = threading.Event()
        self._call = call
        self._loop = asyncio.get_running_loop()
        calls.before = self._before

    def _before(self, call: str, _name: str) -> None:
        if call == self._call:
            self._loop.call_soon_threadsafe(self.reached.set)
            assert self._open.wait(30)

    def open(self) -> None:
        self._open.set()


@contextlib.asynccontextmanager
async def opened(path: Path, **options: Any) -> AsyncIterator[DirectoryStore]:
    """A store that has made its first mark."""
    async with DirectoryStore(path, **options) as store:
        await store.mark_done("first", RECORD)
        yield store
    assert list((path / TEMPORARY).iterdir()) == []


async def mark_all(store: DirectoryStore, names: list[str]) -> list[bool | BaseException]:
    return await asyncio.gather(*(store.mark_done(name, RECORD) for name in names), return_exceptions=True)


def numbered(count: int) -> list[str]:
    return [f"step-{number:03d}" for number in range(count)]


@contextlib.contextmanager
def gates_over(calls: Calls) -> Iterator[Callable[[str], Gate]]:
    """Make gates; those that are still shut at the end are opened."""
    made: list[Gate] = []

    def gate(call: str) -> Gate:
        made.append(Gate(calls, call))
        return made[-1]

    yield gate
    for each in made:
        each.open()
