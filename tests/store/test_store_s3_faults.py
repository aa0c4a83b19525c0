"""The S3 store under faults and cancellation: retries, errors, and that nothing is left running."""

import asyncio
import gc
import logging
from typing import Any

import aioboto3
import anyio
import pytest
from botocore.config import Config
from servers import Cut, Delay, Drip, Fault, FaultProxy, Hold, MotoServer, slow_down

from asyncsteps._errors import (
    EndpointUnreachableError,
    StoreClosedError,
    StoreError,
    StoreOptionError,
    ThrottledError,
)
from asyncsteps.store import S3Store, open_store

pytestmark = pytest.mark.usefixtures("no_retry_pauses")

RECORD = {"run_id": "r1"}


def attempts_at(proxy: FaultProxy) -> set[int]:
    """Return the numbers of botocore's attempts, from the headers of its requests."""
    said = (request.headers["amz-sdk-request"] for request in proxy.requests)
    return {int(text.partition("attempt=")[2].partition(";")[0]) for text in said}


async def test_throttling_and_broken_connections_are_retried(bucket: str, fault_proxy: FaultProxy) -> None:
    async with open_store(f"s3://{bucket}/p", endpoint_url=fault_proxy.endpoint) as store:
        fault_proxy.inject(slow_down())
        fault_proxy.inject(Cut())
        assert await store.mark_done("a", RECORD) is True
        fault_proxy.inject(Cut(after_bytes=0))
        assert await store.is_done("a") is True
        fault_proxy.inject(slow_down(), times=2, when=lambda request: request.is_listing)
        assert await store.list_done() == ["a"]
    assert len(fault_proxy.requests) == 3 + 2 + 3


async def test_no_mark_is_lost_when_many_are_throttled_at_once(bucket: str, fault_proxy: FaultProxy) -> None:
    """The retry quota of botocore's mode "standard" covers a hundred."""
    fault_proxy.inject(slow_down(), times=120)
    async with open_store(f"s3://{bucket}/p", endpoint_url=fault_proxy.endpoint, concurrency=120) as store:
        assert all(await asyncio.gather(*(store.mark_done(f"s{n}", RECORD) for n in range(120))))


async def test_a_server_out_of_reach_is_given_up_sooner_than_one_that_throttles(
    bucket: str, fault_proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asyncsteps.store._s3.client._ATTEMPTS", 3)
    monkeypatch.setattr("asyncsteps.store._s3.client._ATTEMPTS_AT_REACHING", 2)
    async with open_store(f"s3://{bucket}/p", endpoint_url=fault_proxy.endpoint) as store:
        fault_proxy.rule = lambda _: Cut()
        with pytest.raises(EndpointUnreachableError):
            await store.mark_done("a", RECORD)
        assert attempts_at(fault_proxy) == {1, 2}
        fault_proxy.rule = lambda _: slow_down()
        with pytest.raises(ThrottledError):
            await store.mark_done("a", RECORD)
        assert attempts_at(fault_proxy) == {1, 2, 3}


@pytest.mark.parametrize("fault", [Drip(0.02), Delay(60)], ids=["drips", "stalls"])
@pytest.mark.parametrize("use", ["mark", "list"])
async def test_a_server_that_is_too_slow_is_given_up(
    bucket: str, fault_proxy: FaultProxy, fault: Fault, use: str
) -> None:
    async with open_store(f"s3://{bucket}/p", endpoint_url=fault_proxy.endpoint, timeout=0.5) as store:
        fault_proxy.rule = lambda _: fault
        with pytest.raises(EndpointUnreachableError, match=r"after \d attempts?"):
            await (store.mark_done("a", RECORD) if use == "mark" else store.list_done())
        fault_proxy.rule = None
        async with open_store(store.url, endpoint_url=fault_proxy.endpoint) as patient:
            assert await patient.is_done("b") is False


async def test_a_client_of_the_callers_has_the_timeout_too(bucket: str, fault_proxy: FaultProxy) -> None:
    async with aioboto3.Session().client("s3", endpoint_url=fault_proxy.endpoint) as client:
        async with open_store(f"s3://{bucket}/p", client=client, timeout=0.2) as store:
            fault_proxy.rule = lambda _: Hold(asyncio.Event())
            with pytest.raises(EndpointUnreachableError, match=r"head_object within 0.2 s, after 1 attempt:"):
                await store.is_done("a")
            fault_proxy.rule = None
        assert (await client.list_objects_v2(Bucket=bucket))["KeyCount"] == 0


@pytest.mark.parametrize("fault", [Cut(), slow_down()], ids=["out of reach", "throttling"])
async def test_a_request_is_tried_as_often_as_said(bucket: str, fault_proxy: FaultProxy, fault: Fault) -> None:
    async with open_store(f"s3://{bucket}/p", endpoint_url=fault_proxy.endpoint, attempts=5) as store:
        fault_proxy.rule = lambda _: fault
        with pytest.raises(StoreError, match="after 5 attempts"):
            await store.mark_done("a", RECORD)
    assert attempts_at(fault_proxy) == {1, 2, 3, 4, 5}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"timeout": 0}, "timeout=0"),
        ({"timeout": "1"}, "timeout='1'"),
        ({"attempts": 0}, "attempts=0"),
        ({"attempts": 1.5}, "attempts=1.5"),
        ({"attempts": 2, "config": Config(retries={"total_max_attempts": 1})}, "retries"),
    ],
)
def test_timeouts_and_attempts_are_checked(options: dict[str, Any], says: str) -> None:
    with pytest.raises(StoreOptionError, match=says):
        open_store("s3://bucket/p", **options)
    with pytest.raises(StoreOptionError, match="only S3 stores take"):
        open_store("memory:", attempts=1)


@pytest.mark.parametrize("callers", [False, True])
async def test_pages_that_do_not_come_through_are_not_retried_by_two_to_the_full(
    bucket: str, fault_proxy: FaultProxy, callers: bool
) -> None:
    async with aioboto3.Session().client("s3", endpoint_url=fault_proxy.endpoint) as client:
        given: dict[str, Any] = {"client": client} if callers else {"endpoint_url": fault_proxy.endpoint}
        async with open_store(f"s3://{bucket}/p", **given) as store:
            fault_proxy.rule = lambda _: Cut()
            with pytest.raises(EndpointUnreachableError):
                await store.list_done()
    assert attempts_at(fault_proxy) == {1, 2}  # by botocore; the listing's own come on top


@pytest.mark.parametrize(("transport", "sendings"), [("botocore", 3), (None, 4)])
async def test_a_body_that_breaks_off_is_read_again(
    moto_server: MotoServer, bucket: str, fault_proxy: FaultProxy, transport: str | None, sendings: int
) -> None:
    moto_server.put(bucket, "p/a", b'{"padding": "%s"}' % (b"x" * 1000))
    async with open_store(f"s3://{bucket}/p", endpoint_url=fault_proxy.endpoint, transport=transport) as store:
        fault_proxy.inject(Cut(after_bytes=900), times=2)
        assert await store.read_done("a") == {"padding": "x" * 1000}
        fault_proxy.inject(Cut(after_bytes=900), times=sendings)
        with pytest.raises(EndpointUnreachableError):
            await store.read_done("a")


async def test_a_page_of_done_names_is_retried_too(bucket: str, fault_proxy: FaultProxy) -> None:
    async with open_store(f"s3://{bucket}/p", endpoint_url=fault_proxy.endpoint) as store:
        await store.mark_done("a", RECORD)
        fault_proxy.inject(slow_down())
        assert (await store.done_page()).names == ("a",)


async def test_the_first_mark_is_ours_though_its_reply_was_lost(bucket: str, fault_proxy: FaultProxy) -> None:
    """The retry of a PUT whose first attempt was stored gets a 412."""
    async with open_store(f"s3://{bucket}/p", endpoint_url=fault_proxy.endpoint) as store:
        await store.mark_done("proof", RECORD, first_wins=True)
        fault_proxy.inject(Cut(after_bytes=0), when=lambda request: request.method == "PUT")
        assert await store.mark_done("a", {"by": "me"}, first_wins=True) is True
        fault_proxy.inject(Cut(), when=lambda request: request.method == "PUT")
        assert await store.mark_done("a", {"by": "another"}, first_wins=True) is False
        assert await store.read_done("a") == {"by": "me"}


@pytest.mark.parametrize("reply", [False, True], ids=["before it is sent", "before its reply"])
async def test_a_cancelled_mark_leaves_nothing_running(
    bucket: str, fault_proxy: FaultProxy, caplog: pytest.LogCaptureFixture, reply: bool
) -> None:
    release = asyncio.Event()
    fault_proxy.inject(Hold(release, reply=reply), times=20)
    caplog.set_level(logging.ERROR)
    before = asyncio.all_tasks()
    async with open_store(f"s3://{bucket}/p", endpoint_url=fault_proxy.endpoint, concurrency=4) as store:
        async with anyio.create_task_group() as tasks:
            for n in range(20):
                tasks.start_soon(store.mark_done, f"s{n}", RECORD)
            await fault_proxy.wait_for(lambda proxy: proxy.in_flight == 4)
            tasks.cancel_scope.cancel()
        fault_proxy.rule = None
        release.set()
        assert await store.mark_done("after", RECORD) is True
        assert "after" in await store.list_done()
    gc.collect()
    assert {task for task in asyncio.all_tasks() - before if "servers.py" not in repr(task)} == set()
    assert caplog.records == []


async def test_a_listing_that_is_cancelled_leaves_nothing_running(
    moto_server: MotoServer, bucket: str, fault_proxy: FaultProxy
) -> None:
    for name in "abcdef":
        moto_server.put(bucket, f"p/{name}")
    fault_proxy.rewrite = lambda target: f"{target}&max-keys=2" if "list-type" in target else target
    release = asyncio.Event()
    fault_proxy.inject(Hold(release), times=99, when=lambda request: len(request.query) > 3)
    before = asyncio.all_tasks()
    async with open_store(f"s3://{bucket}/p", endpoint_url=fault_proxy.endpoint) as store:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(store.list_done)
            await fault_proxy.wait_for(lambda proxy: len(proxy.requests) >= 2)
            tasks.cancel_scope.cancel()
        fault_proxy.rule = None
        release.set()
        assert await store.list_done() == list("abcdef")
    assert {task for task in asyncio.all_tasks() - before if "servers.py" not in repr(task)} == set()


async def test_a_store_that_is_closed_under_a_request_says_so(bucket: str, fault_proxy: FaultProxy) -> None:
    fault_proxy.inject(Hold(asyncio.Event()))
    store = open_store(f"s3://{bucket}/p", endpoint_url=fault_proxy.endpoint)
    assert isinstance(store, S3Store)
    await store.__aenter__()
    asking = asyncio.create_task(store.is_done("a"))
    await fault_proxy.wait_for(lambda proxy: proxy.in_flight == 1)
    await store.__aexit__(None, None, None)
    with pytest.raises(StoreClosedError):
        await asking
