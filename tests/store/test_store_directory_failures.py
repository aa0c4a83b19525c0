"""Marks of a directory that share a commit: the failure of one, of a directory, of all."""

import asyncio
import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from directory_calls import RECORD, Calls, mark_all, numbered, opened

from asyncsteps._errors import StoreError
from asyncsteps.store import DirectoryStore
from asyncsteps.store._directory.files import TEMPORARY

LONG = "z" * 250
LONGS = f"{'z' * 200}~"
"""The directory of `LONG`."""


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    return Calls(monkeypatch)


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
        assert failed.step is not None
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


class _FewThreads:
    """Lets only some more threads be started, as the operating system does at its limit."""

    def __init__(self, patch: pytest.MonkeyPatch, more: int = 0) -> None:
        self.more = more
        start = threading.Thread.start

        def limited(thread: threading.Thread) -> None:
            if thread.name.startswith("asyncsteps-marks"):
                if not self.more:
                    raise RuntimeError("can't start new thread")
                self.more -= 1
            start(thread)

        patch.setattr(threading.Thread, "start", limited)


async def test_a_mark_that_failed_for_want_of_a_thread_is_not_made_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = _FewThreads(monkeypatch)
    async with DirectoryStore(tmp_path) as store:
        with pytest.raises(RuntimeError, match="thread"):
            await store.mark_done("a", RECORD)
        assert await store.withdraw("a") == []
        threads.more = 1
        assert await store.mark_done("b", RECORD)
        assert await store.list_done() == ["b"]


async def test_one_thread_synchronises_all_files_where_no_other_can_be_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _FewThreads(monkeypatch, more=1)
    async with opened(tmp_path) as store:
        assert await mark_all(store, numbered(20)) == [True] * 20


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


def descriptors_open() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_no_descriptor_is_left_open(tmp_path: Path, calls: Calls) -> None:
    async with opened(tmp_path) as store:
        before = descriptors_open()
        for call in ("open", "write", "fsync", "replace", "fsync directory"):
            calls.before = failing(call)
            await mark_all(store, numbered(10))
            assert descriptors_open() == before


async def test_a_limit_of_open_files_is_told_with_the_step_and_the_remedy(tmp_path: Path, calls: Calls) -> None:
    full = [OSError(errno.EMFILE, os.strerror(errno.EMFILE), "the-temporary-file")]

    def before(call: str, _name: str) -> None:
        if full and call == "open":
            raise full.pop()

    async with opened(tmp_path) as store:
        calls.before = before
        with pytest.raises(StoreError, match=r"may have \d+ \(RLIMIT_NOFILE\): raise the limit") as caught:
            await store.mark_done("step", RECORD)
        assert caught.value.step == "step"
        assert caught.value.key == str(tmp_path / "step")
        assert await store.mark_done("step", RECORD) is True
