"""The S3 store: keys, requests, clients."""

import asyncio
import json
import logging
from typing import Any

import aioboto3
import botocore.config
import pytest
from s3_store_support import RECORD, s3_store
from servers import FaultProxy, MotoServer, error_answer

from asyncsteps._errors import StoreClosedError, StoreError
from asyncsteps.store import open_store
from asyncsteps.store._s3.client import _NEEDLESS, tune

pytestmark = pytest.mark.usefixtures("no_retry_pauses")


async def test_nothing_is_sent_before_the_first_use(bucket: str, fault_proxy: FaultProxy) -> None:
    async with s3_store(bucket, fault_proxy.endpoint):
        pass
    assert fault_proxy.requests == []


@pytest.mark.parametrize(
    "prefix",
    ["", "p", "p/", "x//", "me@example.com/1//a@b", "/lead", "a?b#c%20d&e=f+g", "caf\u00e9 1/../2", "<&>\"'"],
)
async def test_keys_are_the_raw_prefix_and_the_name(
    moto_server: MotoServer, bucket: str, s3_endpoint: str, prefix: str
) -> None:
    complete = prefix if not prefix or prefix.endswith("/") else f"{prefix}/"
    if prefix:
        moto_server.put(bucket, f"{prefix.rstrip('/')}-neighbour")
    async with s3_store(bucket, s3_endpoint, prefix) as store:
        await store.mark_done("a.b", RECORD)
        assert f"{complete}a.b" in moto_server.keys(bucket)
        assert json.loads(moto_server.get(bucket, f"{complete}a.b")) == RECORD
        assert await store.list_done() == ["a.b"]
        assert await store.is_done("a.b") is True
        assert (await store.done_page("a")).names == ("a.b",)
        assert await store.withdraw(["a.b"]) == ["a.b"]


async def test_keys_that_are_no_step_names_are_reported_and_left_alone(
    moto_server: MotoServer, bucket: str, s3_endpoint: str, caplog: pytest.LogCaptureFixture
) -> None:
    unrecognised = ["p/", "p/sub/", "p/sub/a", "p/a..b", "p/.hidden", "p/*"]
    for key in [*unrecognised, "p2/b", "p-old/c", "p", "p/a", "p/\u00e9"]:
        moto_server.put(bucket, key)
    async with s3_store(bucket, s3_endpoint) as store:
        seen: list[str] = []
        assert await store.list_done(on_foreign=seen.append) == ["a", "\u00e9"]
        assert sorted(seen) == sorted(key.removeprefix("p/") for key in unrecognised)
        with caplog.at_level(logging.WARNING, "asyncsteps.store"):
            await store.list_done()
        [warning] = caplog.records
        assert "6 keys" in warning.getMessage()
        page = await store.done_page()
        assert (page.names, page.through) == (("a", "\u00e9"), None)
    assert set(moto_server.keys(bucket)) >= set(unrecognised)


async def test_the_longest_key_is_1024_bytes(bucket: str, s3_endpoint: str) -> None:
    name = "\u00e9" * ((1024 - 2) // 2)
    async with s3_store(bucket, s3_endpoint) as store:
        await store.mark_done(name, RECORD)
        assert await store.list_done() == [name]
        assert (await store.done_page(name[:-1])).names == (name,)
        with pytest.raises(ValueError, match="1025 bytes"):
            await store.mark_done(name + "x", RECORD)


async def test_a_listing_of_several_pages_is_whole(bucket: str, fault_proxy: FaultProxy) -> None:
    """moto does not limit pages, so the proxy requests pages of seven."""
    names = [f"n.{number:02}" for number in range(40)]
    async with s3_store(bucket, fault_proxy.endpoint) as store:
        await asyncio.gather(*(store.mark_done(name, RECORD) for name in names))
        fault_proxy.rewrite = lambda target: f"{target}&max-keys=7" if "list-type" in target else target
        assert await store.list_done() == names
        position: str | None = ""
        found: list[str] = []
        while position is not None:
            page = await store.done_page(position)
            assert len(page.names) <= 7
            found += page.names
            position = page.through
        assert found == names


async def test_marks_send_no_expectation_and_no_more_than_one_request(
    bucket: str, fault_proxy: FaultProxy
) -> None:
    async with s3_store(bucket, fault_proxy.endpoint) as store:
        await store.mark_done("a", RECORD)
        assert await store.is_done("a") is True
        assert await store.is_done("b") is False
        assert await store.is_done("c") is False
    methods = [request.method for request in fault_proxy.requests]
    assert methods == ["PUT", "HEAD", "HEAD", "HEAD", "HEAD"]  # the first miss asks for the bucket, once
    put = fault_proxy.requests[0].headers
    assert "expect" not in put
    assert not [name for name in put if name.startswith("x-amz-checksum")]
    assert "x-amz-server-side-encryption" not in put
    assert put["content-type"] == "application/json"
    assert put["user-agent"].startswith("asyncsteps")


def handlers_of_a_put(client: Any) -> set[str]:
    events = ("before-parameter-build.s3.PutObject", "before-call.s3.PutObject")
    found = [h for event in events for h in client.meta.events._emitter._handlers.prefix_search(event)]
    return {getattr(handler, "__name__", "") for handler in found}


async def test_the_guarded_savings_are_in_effect() -> None:
    """Fails when botocore changes what `tune` relies on; only the savings are lost then."""
    needless = {handler for _, handler in _NEEDLESS}
    async with aioboto3.Session().client("s3") as client:
        parameters = client._ruleset_resolver._param_definitions  # type: ignore[attr-defined]
        assert "Key" in parameters
        assert needless <= handlers_of_a_put(client)
        tune(client)
        assert "Key" not in parameters
        assert not needless & handlers_of_a_put(client)


@pytest.mark.parametrize(("sse", "sent"), [(True, "AES256"), ("aws:kms", "aws:kms"), (False, None)])
async def test_encryption_is_asked_for(
    bucket: str, fault_proxy: FaultProxy, sse: bool | str, sent: str | None
) -> None:
    async with s3_store(bucket, fault_proxy.endpoint, sse=sse) as store:
        await store.mark_done("a", RECORD)
        await store.mark_done("b", RECORD, first_wins=True)
    puts = [request for request in fault_proxy.requests if request.method == "PUT"]
    assert {put.headers.get("x-amz-server-side-encryption") for put in puts} == {sent}


async def test_no_more_requests_run_side_by_side_than_allowed(bucket: str, fault_proxy: FaultProxy) -> None:
    async with s3_store(bucket, fault_proxy.endpoint, concurrency=3) as store:
        await asyncio.gather(*(store.mark_done(f"s{n}", RECORD) for n in range(30)))
    assert len(fault_proxy.requests) == 30
    assert fault_proxy.peak <= 3


async def test_a_session_of_the_caller_makes_the_client(bucket: str, fault_proxy: FaultProxy) -> None:
    session = aioboto3.Session(aws_access_key_id="mine", aws_secret_access_key="secret", region_name="eu-west-3")
    async with s3_store(bucket, fault_proxy.endpoint, session=session) as store:
        await store.mark_done("a", RECORD)
    assert "Credential=mine/" in fault_proxy.requests[0].headers["authorization"]
    assert "/eu-west-3/" in fault_proxy.requests[0].headers["authorization"]


async def test_a_client_of_the_caller_is_used_unchanged_and_left_open(
    bucket: str, fault_proxy: FaultProxy
) -> None:
    async with aioboto3.Session().client("s3", endpoint_url=fault_proxy.endpoint) as client:
        async with open_store(f"s3://{bucket}/p", client=client) as store:
            await store.mark_done("a", RECORD)
            assert await store.list_done() == ["a"]
            theirs: Any = await client.list_objects_v2(Bucket=bucket)
            assert theirs["Contents"][0]["Size"] == len(json.dumps(RECORD))
        with pytest.raises(StoreClosedError):
            await store.is_done("a")
        theirs = await client.list_objects_v2(Bucket=bucket)
        assert {"Key", "Size", "ETag", "LastModified"} <= set(theirs["Contents"][0])
    assert "expect" in fault_proxy.requests[0].headers


async def test_our_client_is_closed(bucket: str, s3_endpoint: str) -> None:
    async with s3_store(bucket, s3_endpoint) as store:
        await store.mark_done("a", RECORD)
        client = await store._client._make()
        [session] = client._endpoint.http_session._sessions.values()
        assert not session.closed
    assert session.closed


async def test_configuration_of_the_caller_is_merged_over_ours(bucket: str, fault_proxy: FaultProxy) -> None:
    fault_proxy.inject(error_answer(500, "InternalError"), times=9)
    config = botocore.config.Config(retries={"total_max_attempts": 2}, user_agent="mine")
    async with s3_store(bucket, fault_proxy.endpoint, config=config) as store:
        with pytest.raises(StoreError, match=r"answered 500.*the server failed"):
            await store.is_done("a")
    assert len(fault_proxy.requests) == 2
    assert fault_proxy.requests[0].headers["user-agent"].startswith("mine")
    assert "expect" not in fault_proxy.requests[0].headers
