"""What sync code opens is opened once for a loop, shared by its calls, and closed with the loop or its bridge."""

import asyncio
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from servers import FaultProxy

from asyncsteps.swf._sync.keeper import Keeper, shared
from asyncsteps.swf._sync.keeper import keeper as keeper_of_calls
from asyncsteps.swf._sync.loop import on_caller_loop, run_sync
from asyncsteps.swf._sync.stores import use_store


class Resource:
    """Counts how often it is opened and closed, and by which task."""

    def __init__(self) -> None:
        self.opened: list[asyncio.Task[object] | None] = []
        self.closed: list[asyncio.Task[object] | None] = []

    @asynccontextmanager
    async def make(self) -> AsyncIterator["Resource"]:
        await asyncio.sleep(0)
        self.opened.append(asyncio.current_task())
        try:
            yield self
        finally:
            await asyncio.sleep(0)
            self.closed.append(asyncio.current_task())


async def test_it_is_opened_once_for_all_and_closed_by_the_task_that_opened_it() -> None:
    keeper, resource = Keeper(), Resource()
    got = await asyncio.gather(*(keeper.get("key", resource.make) for _ in range(20)))
    assert set(got) == {resource}
    assert (len(resource.opened), resource.closed) == (1, [])
    await keeper.aclose()
    assert resource.closed == resource.opened
    assert resource.opened[0] is not asyncio.current_task()


async def test_keys_are_kept_apart() -> None:
    keeper, one, other = Keeper(), Resource(), Resource()
    assert await keeper.get("one", one.make) is one
    assert await keeper.get("other", other.make) is other
    await keeper.aclose()
    assert len(one.closed) == len(other.closed) == 1


async def test_whoever_opens_it_first_may_be_cancelled() -> None:
    keeper, resource = Keeper(), Resource()
    first = asyncio.create_task(keeper.get("key", resource.make))
    await asyncio.sleep(0)
    second = asyncio.create_task(keeper.get("key", resource.make))
    await asyncio.sleep(0)
    first.cancel()
    assert await second is resource
    assert first.cancelled()
    await keeper.aclose()
    assert len(resource.opened) == len(resource.closed) == 1


async def test_what_fails_to_open_is_tried_again() -> None:
    keeper, resource = Keeper(), Resource()

    @asynccontextmanager
    async def fail() -> AsyncIterator[Resource]:
        raise LookupError("not now")
        yield resource

    for _ in range(2):
        with pytest.raises(LookupError, match="not now"):
            await keeper.get("key", fail)
    assert await keeper.get("key", resource.make) is resource
    await keeper.aclose()


async def test_what_fails_to_close_is_said_and_the_others_are_closed() -> None:
    keeper, resource = Keeper(), Resource()

    @asynccontextmanager
    async def fail_closing() -> AsyncIterator[Resource]:
        try:
            yield resource
        finally:
            raise LookupError("closing")

    await keeper.get("bad", fail_closing)
    await keeper.get("good", resource.make)
    with pytest.raises(LookupError, match="closing"):
        await keeper.aclose()
    assert len(resource.closed) == 1


async def test_closing_while_it_opens_closes_it_and_tells_who_waits() -> None:
    keeper, resource = Keeper(), Resource()
    waiter = asyncio.create_task(keeper.get("key", resource.make))
    await asyncio.sleep(0)
    await keeper.aclose()
    await asyncio.wait([waiter])
    assert waiter.cancelled()
    assert len(resource.opened) == len(resource.closed)


async def test_without_a_keeper_each_block_has_its_own() -> None:
    resource = Resource()
    for _ in range(2):
        async with shared("key", resource.make) as got:
            assert got is resource
    assert len(resource.opened) == len(resource.closed) == 2


def use(make: Callable[[], AbstractAsyncContextManager[Resource]], key: str) -> Resource:
    async def call() -> Resource:
        async with shared(key, make) as got:
            return got

    return run_sync(call)


def test_calls_on_the_processs_own_loop_share() -> None:
    resource = Resource()
    assert {use(resource.make, "own loop") for _ in range(5)} == {resource}
    assert (len(resource.opened), resource.closed) == (1, [])


async def test_calls_on_a_callers_loop_share_what_its_keeper_keeps() -> None:
    keeper, kept, apart = Keeper(), Resource(), Resource()

    def call(keeping: Keeper | None, resource: Resource) -> None:
        with on_caller_loop(loop, keeping):
            for _ in range(3):
                assert use(resource.make, "caller's loop") is resource

    loop = asyncio.get_running_loop()
    await asyncio.to_thread(call, keeper, kept)
    assert (len(kept.opened), kept.closed) == (1, [])
    await keeper.aclose()
    assert len(kept.closed) == 1
    await asyncio.to_thread(call, None, apart)
    assert len(apart.opened) == len(apart.closed) == 3


async def test_a_store_is_kept_only_while_the_environment_of_botocore_stays_the_same(
    bucket: str, s3_endpoint: str, fault_proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Keeper()
    token = keeper_of_calls.set(kept)
    stores = []
    for endpoint in (s3_endpoint, fault_proxy.endpoint, fault_proxy.endpoint, s3_endpoint):
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        async with use_store(bucket, "steps/") as store:
            assert await store.list_done() == []
            stores.append(store)
    assert len(fault_proxy.requests) == 2
    assert stores[0] is stores[3]
    assert stores[1] is stores[2]
    await kept.aclose()
    keeper_of_calls.reset(token)


def test_exit_closes_what_is_kept_and_a_forked_child_opens_its_own() -> None:
    script = """
        import os, sys, warnings
        warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
        from contextlib import asynccontextmanager
        from asyncsteps.swf._sync.loop import run_sync
        from asyncsteps.swf._sync.keeper import shared

        @asynccontextmanager
        async def make():
            who = "child" if os.getpid() != parent else "parent"
            print(who, "opens", flush=True)
            try:
                yield
            finally:
                print(who, "closes", flush=True)

        async def use():
            async with shared("key", make):
                pass

        parent = os.getpid()
        run_sync(use)
        run_sync(use)
        pid = os.fork()
        if pid == 0:
            run_sync(use)
            sys.exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        run_sync(use)
    """
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.splitlines() == ["parent opens", "child opens", "child closes", "parent closes"]
