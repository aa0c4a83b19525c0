"""Marks of a directory that are under way together: what they share, and cancellations among them."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import pytest
from directory_calls import RECORD, Calls, Gate, gates_over, mark_all, numbered, opened

from asyncsteps.store import DirectoryStore
from asyncsteps.store._directory import group

LONG = "z" * 250
LONGS = f"{'z' * 200}~"
"""The directory of `LONG`."""


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    return Calls(monkeypatch)


Gates = Callable[[str], Gate]


@pytest.fixture
def gates(calls: Calls) -> Iterator[Gates]:
    with gates_over(calls) as gates:
        yield gates


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
        assert all(await asyncio.gather(leader, waiting[0], waiting[2]))
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


async def test_marks_that_wait_for_a_commit_whose_task_is_cancelled_are_cancelled(
    tmp_path: Path, gates: Gates
) -> None:
    async with opened(tmp_path) as store:
        gate = gates("write")
        begun = asyncio.create_task(store.mark_done("begun", RECORD))
        await gate.reached.wait()
        waiting = asyncio.create_task(store.mark_done("waiting", RECORD))
        await asyncio.sleep(0)
        _cancel_the_commits(store)
        done, _ = await asyncio.wait([begun, waiting], timeout=5)
        gate.open()
        assert done == {begun, waiting}
        assert begun.cancelled()
        assert waiting.cancelled()
        assert await store.mark_done("next", RECORD)
        assert not await store.is_done("waiting")


async def test_commits_that_overlap_do_not_wait_for_each_others_threads(tmp_path: Path, calls: Calls) -> None:
    together = threading.Barrier(2)

    async with opened(tmp_path, concurrency=2) as store:
        loop, written = asyncio.get_running_loop(), asyncio.Event()

        def until_both_have_written(call: str, name: str) -> None:
            if call == "write" and name.endswith("-1"):
                loop.call_soon_threadsafe(written.set)
                together.wait(30)

        calls.before = until_both_have_written
        first = asyncio.create_task(mark_all(store, ["a", "b"]))
        await written.wait()
        _cancel_the_commits(store)
        await first
        second = asyncio.create_task(mark_all(store, ["c", "d"]))
        done, _ = await asyncio.wait([second], timeout=5)
        assert done
        assert second.result() == [True, True]


def _cancel_the_commits(store: DirectoryStore) -> None:
    """As a program does that cancels every task that it has not made itself."""
    assert store._commits is not None
    assert store._commits._commits is not None
    store._commits._commits.cancel()


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
