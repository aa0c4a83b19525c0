"""A store that fails and delays on command, and is otherwise a store like the one that it is over."""

import asyncio
from typing import Any

import pytest
from run_support import noop

from asyncsteps import (
    AccessDeniedError,
    Group,
    MemoryStore,
    SelectorError,
    Step,
    StepDefinitionError,
    StepNameError,
    StoreClosedError,
    StoreError,
    ThrottledError,
)
from asyncsteps.testing import FaultyStore, StoreCall, recorded_run, run_virtually

RECORD = {"run_id": "r"}


async def test_the_nth_call_fails_and_no_other() -> None:
    async with FaultyStore(MemoryStore()) as store:
        store.fail("mark_done", ThrottledError, nth=2, times=2)
        outcomes = await asyncio.gather(*(store.mark_done(n, RECORD) for n in "abcd"), return_exceptions=True)
        assert [type(each) for each in outcomes] == [bool, ThrottledError, ThrottledError, bool]
        assert str(outcomes[1]) == "injected: mark_done('b') fails"
        assert await store.list_done() == ["a", "d"]
        assert store.calls[0] == StoreCall("mark_done", ("a",))


async def test_a_failure_after_the_effect_is_a_lost_reply() -> None:
    async with FaultyStore(MemoryStore()) as store:
        store.fail("mark_done", AccessDeniedError("no"), under="load", after=True, times=None)
        await store.mark_done("mail", RECORD)
        for _ in range(2):
            with pytest.raises(AccessDeniedError, match="no"):
                await store.mark_done("load.users", RECORD)
        assert await store.is_done("load.users")
        store.heal()
        await store.mark_done("load.users", RECORD)


@pytest.mark.parametrize(
    ("operation", "arguments"),
    [
        ("list_done", ()),
        ("done_page", ()),
        ("is_done", ("a",)),
        ("mark_done", ("a", RECORD)),
        ("read_done", ("a",)),
        ("withdraw", (["a", "b"],)),
    ],
)
async def test_each_operation_fails(operation: Any, arguments: tuple[Any, ...]) -> None:
    async with FaultyStore(MemoryStore({"a": RECORD})) as store:
        store.fail(operation)
        with pytest.raises(StoreError, match=f"injected: {operation}"):
            await getattr(store, operation)(*arguments)
        assert store.store.records == {"a": RECORD}  # type: ignore[attr-defined]
        await getattr(store, operation)(*arguments)
        store.fail()
        with pytest.raises(StoreError, match="injected: list_done"):
            [batch async for batch in store.iter_done()]
        assert [batch async for batch in store.iter_done()] == [["a"]] * (operation != "withdraw")


def test_delays_are_seconds_of_the_loop() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with FaultyStore(MemoryStore()) as store:
            store.delay("is_done", 60, under="a")
            store.delay("is_done", 5, under="a", after=True, times=1)
            await store.is_done("b")
            assert loop.time() == 0
            await store.is_done("a")
            assert loop.time() == 65
            await store.is_done("a")
            assert loop.time() == 125

    run_virtually(main())


async def test_calls_are_held_back_until_they_are_released() -> None:
    async with FaultyStore(MemoryStore()) as store:
        hold = store.hold("mark_done", after=True)
        marking = asyncio.ensure_future(store.mark_done("a", RECORD))
        await hold.reached.wait()
        assert not marking.done()
        assert await store.list_done() == ["a"]
        hold.release()
        assert await marking is True
        other = store.hold("mark_done")
        marking = asyncio.ensure_future(store.mark_done("b", RECORD))
        await other.reached.wait()
        store.heal()
        await marking


async def test_a_run_over_it_shows_what_a_failed_mark_does() -> None:
    async with FaultyStore(MemoryStore()) as store:
        store.fail("mark_done", under="b")
        async with recorded_run(store) as run:
            with pytest.raises(StoreError, match="injected"):
                await run.submit(Group(Step("a", noop), Step("b", noop)))
        async with recorded_run(store) as run:
            await run.submit(Group(Step("a", noop), Step("b", noop)))
        run.assert_skipped("a")
        run.assert_played("b")


async def test_names_are_checked_before_anything_is_injected() -> None:
    async with FaultyStore(MemoryStore()) as store:
        store.fail(times=None)
        for call in (
            store.is_done("/a"),
            store.read_done("/a"),
            store.withdraw(["/a"]),
            store.mark_done("/a", {}),
        ):
            with pytest.raises(StepNameError):
                await call
        assert store.calls == []


async def test_a_store_that_is_open_stays_so() -> None:
    async with MemoryStore() as inner:
        store = FaultyStore(inner)
        await store.mark_done("a", RECORD)
        assert store.journal_files is inner.journal_files
        assert repr(store) == "<FaultyStore over <MemoryStore 'memory:'>>"
        with pytest.raises(StoreClosedError):
            async with store:
                pass
        assert await inner.is_done("a")


def test_bad_arguments_are_refused() -> None:
    store: Any = FaultyStore(MemoryStore())
    for function, match in (
        (lambda: FaultyStore(5), "5 is no store"),  # type: ignore[arg-type]
        (lambda: store.fail("mark"), "operation='mark' is refused: it is one of list_done, "),
        (lambda: store.fail(error=ValueError), "a store raises nothing but StoreError"),
        (lambda: store.fail(nth=0), "nth=0 is refused"),
        (lambda: store.fail(times=True), "times=True is refused"),
        (lambda: store.delay(seconds=-1), "seconds=-1 is refused"),
        (lambda: store.delay(seconds="1"), "seconds='1' is refused"),
    ):
        with pytest.raises(StepDefinitionError, match=match):
            function()
    with pytest.raises(SelectorError):
        store.hold(under="a.")
