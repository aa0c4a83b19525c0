"""Marks of a directory that are under way together: what they share, and what none of them does to another."""

import asyncio
import contextlib
import errno
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from asyncsteps._errors import StoreError
from asyncsteps.store import DirectoryStore
from asyncsteps.store._directory import group
from asyncsteps.store._directory.files import TEMPORARY

RECORD = {"run_id": "r1"}
LONG = "z" * 250
LONGS = f"{'z' * 200}~"
"""The directory of `LONG`."""


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


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    return Calls(monkeypatch)


@contextlib.asynccontextmanager
async def opened(path: Path, **options: Any) -> Any:
    """A store that has made its first mark."""
    async with DirectoryStore(path, **options) as store:
        await store.mark_done("first", RECORD)
        yield store
    assert list((path / TEMPORARY).iterdir()) == []


async def mark_all(store: DirectoryStore, names: list[str]) -> list[bool | BaseException]:
    return await asyncio.gather(*(store.mark_done(name, RECORD) for name in names), return_exceptions=True)


def numbered(count: int) -> list[str]:
    return [f"step-{number:03d}" for number in range(count)]


async def test_64_side_by_side_share_a_synchronisation_of_the_directory(tmp_path: Path, calls: Calls) -> None:
    names = numbered(64)
    async with opened(tmp_path, concurrency=8) as store:
        calls.clear()
        assert await mark_all(store, names) == [True] * 64
        assert await store.list_done() == ["first", *names]
    assert calls.count() == {"open": 64, "write": 64, "fsync": 64, "replace": 64, "fsync directory": 1}
    assert len(calls.threads) <= 8
    kinds = [call for call, _ in calls.made]
    assert kinds.index("replace") == 3 * 64  # each file is whole and durable before any has a name
    assert kinds[-1] == "fsync directory"


async def test_one_mark_costs_two_synchronisations_and_one_thread(tmp_path: Path, calls: Calls) -> None:
    async with opened(tmp_path) as store:
        calls.clear()
        await store.mark_done("a", RECORD)
    assert [call for call, _ in calls.made] == ["open", "write", "fsync", "replace", "fsync directory"]
    assert len(calls.threads) == 1


async def test_more_than_one_commit_can_take(tmp_path: Path, calls: Calls) -> None:
    names = numbered(2 * group.MOST + 2)
    async with opened(tmp_path) as store:
        calls.clear()
        assert await mark_all(store, names) == [True] * len(names)
        assert await store.list_done() == ["first", *names]
    assert calls.count()["fsync directory"] == 3


async def test_marks_of_long_names_share_the_directories_above_them(tmp_path: Path, calls: Calls) -> None:
    names = [f"{LONG}{number}" for number in range(5)]
    async with opened(tmp_path) as store:
        calls.clear()
        assert await mark_all(store, ["a", *names]) == [True] * 6
    synchronised = [name for call, name in calls.made if call == "fsync directory"]
    assert synchronised == [LONGS, tmp_path.name]


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


@pytest.fixture
def gates(calls: Calls) -> Iterator[Callable[[str], Gate]]:
    made: list[Gate] = []

    def gate(call: str) -> Gate:
        made.append(Gate(calls, call))
        return made[-1]

    yield gate
    for each in made:
        each.open()


Gates = Callable[[str], Gate]


async def test_marks_that_come_during_a_commit_share_the_next_one(
    tmp_path: Path, calls: Calls, gates: Gates
) -> None:
    async with opened(tmp_path) as store:
        calls.clear()
        gate = gates("fsync")
        leader = asyncio.create_task(store.mark_done("leader", RECORD))
        await gate.reached.wait()
        rest = asyncio.create_task(mark_all(store, numbered(10)))
        await asyncio.sleep(0)
        gate.open()
        assert await leader is True
        assert await rest == [True] * 10
    assert calls.count()["fsync directory"] == 2


async def test_no_mark_is_acknowledged_before_the_directory_is_durable(tmp_path: Path, gates: Gates) -> None:
    async with opened(tmp_path) as store:
        gate = gates("fsync directory")
        marks = [asyncio.create_task(store.mark_done(name, RECORD)) for name in numbered(5)]
        await gate.reached.wait()
        await asyncio.wait(marks, timeout=0)
        assert not any(mark.done() for mark in marks)
        gate.open()
        assert await asyncio.gather(*marks) == [True] * 5


# One of them fails.


def failing(call: str, name: str | None = None) -> Callable[[str, str], None]:
    """Make the first such call fail; by default whatever its file is."""
    left = [OSError(errno.EIO, os.strerror(errno.EIO))]

    def before(made: str, made_for: str) -> None:
        if left and made == call and name in {None, made_for}:
            raise left.pop()

    return before


@pytest.mark.parametrize("call", ["open", "write", "fsync", "replace"])
async def test_a_mark_that_fails_leaves_the_others_alone(tmp_path: Path, calls: Calls, call: str) -> None:
    names = numbered(20)
    async with opened(tmp_path) as store:
        calls.before = failing(call)
        outcomes = await mark_all(store, names)
        [failed] = [outcome for outcome in outcomes if outcome is not True]
        assert isinstance(failed, StoreError)
        assert failed.step == names[outcomes.index(failed)]
        assert failed.key == str(tmp_path / failed.step)
        assert "Input/output error" in str(failed)
        assert await store.list_done() == sorted({"first", *names} - {failed.step})
        assert await store.mark_done(failed.step, RECORD) is True
        assert await store.list_done() == ["first", *names]


async def test_a_first_mark_that_cannot_be_linked_leaves_the_others_alone(tmp_path: Path, calls: Calls) -> None:
    async with opened(tmp_path) as store:
        calls.before = failing("link", "a")
        a, b = await asyncio.gather(
            *(store.mark_done(name, RECORD, first_wins=True) for name in "ab"), return_exceptions=True
        )
        assert isinstance(a, StoreError)
        assert b is True
        assert await store.list_done() == ["b", "first"]


async def test_no_mark_is_claimed_whose_directory_could_not_be_synchronised(tmp_path: Path, calls: Calls) -> None:
    names = numbered(20)
    async with opened(tmp_path) as store:
        calls.before = failing("fsync directory")
        outcomes = await mark_all(store, names)
        assert all(isinstance(outcome, StoreError) for outcome in outcomes)
        assert [outcome.step for outcome in outcomes if isinstance(outcome, StoreError)] == names
        assert {outcome.key for outcome in outcomes if isinstance(outcome, StoreError)} == {str(tmp_path)}
        assert await mark_all(store, names) == [True] * 20


async def test_a_directory_that_could_not_be_synchronised_fails_the_marks_in_it(
    tmp_path: Path, calls: Calls
) -> None:
    async with opened(tmp_path) as store:
        calls.before = failing("fsync directory", LONGS)
        a, b, other = await mark_all(store, [f"{LONG}a", f"{LONG}b", "other"])
        assert isinstance(a, StoreError)
        assert isinstance(b, StoreError)
        assert a.key == b.key == str(tmp_path / LONGS)
        assert other is True


async def test_a_withdrawal_whose_directory_could_not_be_synchronised_is_not_claimed(
    tmp_path: Path, calls: Calls
) -> None:
    async with opened(tmp_path) as store:
        calls.before = failing("fsync directory")
        with pytest.raises(StoreError, match="Input/output error") as caught:
            await store.withdraw("first")
        assert caught.value.key == str(tmp_path)
        assert await store.withdraw("first") == []  # which is durable now


async def test_what_hinders_all_marks_is_told_to_each(tmp_path: Path) -> None:
    async with DirectoryStore(tmp_path) as store:
        (tmp_path / TEMPORARY).write_text("no directory")
        outcomes = await mark_all(store, numbered(3))
        assert [outcome.step for outcome in outcomes if isinstance(outcome, StoreError)] == numbered(3)
        (tmp_path / TEMPORARY).unlink()
        assert await mark_all(store, numbered(3)) == [True] * 3


async def test_an_unexpected_exception_reaches_each_mark(tmp_path: Path, calls: Calls) -> None:
    def before(call: str, _name: str) -> None:
        if call == "write":
            raise MemoryError("none left")

    async with opened(tmp_path) as store:
        calls.before = before
        outcomes = await mark_all(store, numbered(3))
        assert [type(outcome) for outcome in outcomes] == [MemoryError] * 3
        calls.before = lambda _call, _name: None
        assert await store.list_done() == ["first"]
        assert await mark_all(store, numbered(3)) == [True] * 3


async def test_a_temporary_file_that_cannot_be_removed_hurts_nobody(tmp_path: Path, calls: Calls) -> None:
    async with DirectoryStore(tmp_path) as store:
        calls.before = failing("unlink")
        marks = (store.mark_done(name, RECORD, first_wins=True) for name in "ab")
        assert await asyncio.gather(*marks) == [True, True]
        assert await store.list_done() == ["a", "b"]
    assert len(list((tmp_path / TEMPORARY).iterdir())) == 1


async def test_a_file_system_may_refuse_the_hint_to_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    monkeypatch.setattr(os, "posix_fadvise", refuse)
    async with opened(tmp_path) as store:
        assert await mark_all(store, numbered(5)) == [True] * 5


async def test_no_descriptor_is_left_open(tmp_path: Path, calls: Calls) -> None:
    async with opened(tmp_path) as store:
        before = len(list(Path("/proc/self/fd").iterdir()))
        for call in ("open", "write", "fsync", "replace", "fsync directory"):
            calls.before = failing(call)
            await mark_all(store, numbered(10))
            assert len(list(Path("/proc/self/fd").iterdir())) == before


# One of them is cancelled.


async def test_a_mark_that_is_cancelled_before_its_commit_is_not_made(
    tmp_path: Path, calls: Calls, gates: Gates
) -> None:
    async with opened(tmp_path) as store:
        gate = gates("fsync")
        leader = asyncio.create_task(store.mark_done("leader", RECORD))
        await gate.reached.wait()
        waiting = [asyncio.create_task(store.mark_done(name, RECORD)) for name in ("a", "b", "c")]
        await asyncio.sleep(0)
        waiting[1].cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting[1]  # at once
        gate.open()
        assert await asyncio.gather(leader, waiting[0], waiting[2]) == [True] * 3
        assert await store.list_done() == ["a", "c", "first", "leader"]
    assert ("open", "b") not in calls.made


async def test_a_cancelled_scope_waits_for_the_end_of_a_commit(tmp_path: Path, gates: Gates) -> None:
    ended: list[str] = []

    async def mark(name: str) -> None:
        try:
            await store.mark_done(name, RECORD)
        finally:
            ended.append(name)

    async with opened(tmp_path) as store:
        gate = gates("fsync directory")
        other = asyncio.create_task(mark("other"))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(mark, "cancelled")
            await gate.reached.wait()
            tasks.cancel_scope.cancel()
            with anyio.CancelScope(shield=True):
                await asyncio.wait([other], timeout=0.01)
            assert ended == []
            gate.open()
        assert "cancelled" in ended
        await other
        assert await store.list_done() == ["cancelled", "first", "other"]


async def test_a_task_that_is_cancelled_during_its_commit_hurts_no_other(tmp_path: Path, gates: Gates) -> None:
    async with opened(tmp_path) as store:
        gate = gates("fsync directory")
        marks = [asyncio.create_task(store.mark_done(name, RECORD)) for name in ("a", "b", "c")]
        await gate.reached.wait()
        marks[0].cancel()
        with pytest.raises(asyncio.CancelledError):
            await marks[0]
        gate.open()
        assert await asyncio.gather(*marks[1:]) == [True, True]
        assert await store.read_done("a") == RECORD


async def test_the_block_ends_when_the_commit_has_ended(tmp_path: Path, gates: Gates) -> None:
    threads = threading.active_count()
    async with opened(tmp_path) as store:
        gate = gates("fsync directory")
        mark = asyncio.create_task(store.mark_done("a", RECORD))
        await gate.reached.wait()
        mark.cancel()
        asyncio.get_running_loop().call_later(0.01, gate.open)
    assert (tmp_path / "a").exists()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("asyncsteps-marks")]
    assert threading.active_count() <= threads + 1  # anyio's, for listings


# Several marks of one name.


async def test_of_two_marks_of_a_name_the_later_call_stands(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        for _ in range(10):
            await asyncio.gather(*(store.mark_done("a", {"n": number}) for number in range(20)))
            assert await store.read_done("a") == {"n": 19}


@pytest.mark.parametrize("name", ["a", LONG])
async def test_one_of_many_first_marks_wins(tmp_path: Path, name: str) -> None:
    async with opened(tmp_path) as store:
        marks = (store.mark_done(name, {"n": number}, first_wins=True) for number in range(20))
        won = await asyncio.gather(*marks)
        assert sum(won) == 1
        assert await store.read_done(name) == {"n": won.index(True)}


async def test_one_thread_is_enough(tmp_path: Path, calls: Calls) -> None:
    async with opened(tmp_path, concurrency=1) as store:
        calls.clear()
        assert await mark_all(store, numbered(10)) == [True] * 10
        assert len(calls.threads) == 1
        assert await store.list_done() == ["first", *numbered(10)]
