"""What is sent past botocore reaches the same place, signed by the same keys, and ends as surely."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import aioboto3
import leaks
import pytest
from aiobotocore.config import AioConfig
from aiobotocore.credentials import AioRefreshableCredentials
from aiobotocore.httpsession import AIOHTTPSession
from aiobotocore.session import AioSession
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from servers import Answer, Cut, FaultProxy, Hold, MotoServer, Request, error_answer, run_fault_proxy

from asyncsteps._errors import (
    AccessDeniedError,
    BucketNotFoundError,
    EndpointUnreachableError,
    RecordError,
    StoreClosedError,
)
from asyncsteps.store import S3Store, open_bucket, open_store
from asyncsteps.store._s3 import direct
from asyncsteps.store._s3.page_parser import UnexpectedReplyError

pytestmark = pytest.mark.usefixtures("no_retry_pauses")

RECORD = {"run_id": "r1"}
HOST = "s3.example.test"


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unexpected answer is followed by no time for which botocore sends all."""
    monkeypatch.setattr(direct, "_PAUSE", 0.0)


@contextlib.asynccontextmanager
async def warm(url: str, **options: Any) -> AsyncIterator[S3Store]:
    """Open a store and let it learn where its bucket is."""
    async with open_store(url, **options) as store:
        assert isinstance(store, S3Store)
        await store.is_done("before")
        assert store.transport == (options.get("transport") or "direct")
        yield store


def is_of_botocore(request: Request) -> bool:
    return "amz-sdk-invocation-id" in request.headers


def is_signed_as_botocore_signs(request: Request, url: str) -> bool:
    """Whether the signature is the one that botocore makes of what arrived."""
    listed = request.headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
    region = request.headers["authorization"].split("/")[2]
    own = {"x-amz-date", "x-amz-content-sha256", "x-amz-security-token", "host"}
    headers = {name: request.headers[name] for name in listed if name not in own}
    made = AWSRequest(method=request.method, url=url, headers=headers, data=request.body or None)
    made.context.update(
        {"client_config": AioConfig(s3={"payload_signing_enabled": True}), "has_streaming_input": False}
    )
    at = datetime.strptime(request.headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    keys = leaks.CREDENTIALS
    credentials = Credentials(
        keys["AWS_ACCESS_KEY_ID"], keys["AWS_SECRET_ACCESS_KEY"], request.headers.get("x-amz-security-token")
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("botocore.auth.get_current_datetime", lambda *_, **__: at.replace(tzinfo=None))
        S3SigV4Auth(credentials, "s3", region).add_auth(made)
    return bool(made.headers["Authorization"] == request.headers["authorization"])


@pytest.mark.parametrize(
    ("bucket", "style", "host"),
    [
        ("plain-name", "virtual", f"plain-name.{HOST}"),
        ("plain-name", "path", HOST),
        ("dotted.na.me", "auto", HOST),
        ("arn:aws:s3:us-east-1:123456789012:accesspoint:point", "auto", f"point-123456789012.{HOST}"),
    ],
)
async def test_the_bucket_is_reached_as_by_botocore(
    fault_proxy: FaultProxy, bucket: str, style: str, host: str
) -> None:
    """A proxy, which plays the server too, shows to which host each request was to go."""
    config = AioConfig(proxies={"http": fault_proxy.endpoint}, s3={"addressing_style": style})
    page = b"<ListBucketResult><KeyCount>0</KeyCount><IsTruncated>false</IsTruncated></ListBucketResult>"

    def answer(request: Request) -> Answer:
        body = page if request.is_listing else b'{"run_id": "r1"}' if request.method == "GET" else b""
        return Answer(200, body, {"ETag": '"e"'})

    fault_proxy.rule = answer
    async with open_bucket(bucket, "p", endpoint_url=f"http://{HOST}", config=config) as store:
        assert isinstance(store, S3Store)
        assert await store.is_done("a")
        assert store.transport == "direct"
        assert await store.mark_done("a", RECORD)
        assert await store.list_done() == []
        assert await store.read_done("a") == RECORD
        assert await store.is_done("a")
    first, *sent = fault_proxy.requests
    assert [(request.method, is_of_botocore(request)) for request in sent] == [
        ("PUT", False),
        ("GET", False),
        ("GET", False),
        ("HEAD", False),
    ]
    assert sent[-1].target == first.target
    assert {urlsplit(request.target).netloc for request in fault_proxy.requests} == {host}
    assert {request.headers["host"] for request in fault_proxy.requests} == {host}
    assert all(is_signed_as_botocore_signs(request, request.target) for request in fault_proxy.requests)


@pytest.mark.parametrize(
    "prefix",
    ["a b/\u00e4+%20/\u65e5?x=1&y#z/~*'()!", "./a/../b//c/.", "//", "p/%2F/%2e%2e", "\U0001f600/=;:@$,"],
)
async def test_a_prefix_is_sent_as_botocore_sends_it(
    moto_server: MotoServer, bucket: str, fault_proxy: FaultProxy, prefix: str
) -> None:
    sent: list[list[tuple[str, str]]] = []
    for transport in (None, "botocore"):
        async with warm(
            f"s3://{bucket}/{prefix}", endpoint_url=fault_proxy.endpoint, transport=transport
        ) as store:
            start = len(fault_proxy.requests)
            assert await store.mark_done("a.\u00e9~ +", RECORD)
            assert moto_server.keys(bucket) == [store.prefix + "a.\u00e9~ +"]
            assert await store.is_done("a.\u00e9~ +")
            assert await store.read_done("a.\u00e9~ +") == RECORD
            assert (await store.done_page()).names == ("a.\u00e9~ +",)
            assert await store.withdraw(["a.\u00e9~ +"])
        requests = [request for request in fault_proxy.requests[start:] if request.method != "POST"]
        assert {is_of_botocore(request) for request in requests} == {transport is not None}
        endpoint = fault_proxy.endpoint
        assert all(is_signed_as_botocore_signs(request, endpoint + request.target) for request in requests)
        sent.append([(request.method, request.path) for request in requests])
    assert sent[0] == sent[1]


async def test_a_region_that_a_redirect_names_is_learned(bucket: str, fault_proxy: FaultProxy) -> None:
    moved = error_answer(301, "PermanentRedirect", **{"x-amz-bucket-region": "eu-west-9"})
    fault_proxy.inject(moved)
    async with open_store(f"s3://{bucket}/p", endpoint_url=fault_proxy.endpoint) as store:
        assert await store.mark_done("a", RECORD)
        assert await store.mark_done("b", RECORD)
    assert not is_of_botocore(fault_proxy.requests[-1])
    regions = [request.headers["authorization"].split("/")[2] for request in fault_proxy.requests]
    assert (regions[0], *regions[-2:]) == ("us-east-1", "eu-west-9", "eu-west-9")


async def test_a_redirect_is_not_followed(bucket: str, s3_endpoint: str, fault_proxy: FaultProxy) -> None:
    async with (
        run_fault_proxy(s3_endpoint) as other,
        warm(f"s3://{bucket}/p", endpoint_url=fault_proxy.endpoint) as store,
    ):
        other.rule = lambda _: Answer(200, headers={"ETag": "other"})
        fault_proxy.rule = lambda request: Answer(307, headers={"Location": other.endpoint + request.target})
        for use in (store.is_done("a"), store.mark_done("a", RECORD), store.read_done("a"), store.done_page()):
            with pytest.raises(EndpointUnreachableError, match="is not followed"):
                await use
        assert other.requests == []


class CallersSession(AIOHTTPSession):
    """An HTTP session of the caller's, which may do anything to what is sent."""


@pytest.mark.parametrize(
    "config",
    [AioConfig(http_session_cls=CallersSession), AioConfig(retries={"total_max_attempts": 1})],
    ids=["HTTP session", "one attempt"],
)
async def test_what_a_config_asks_for_is_left_to_botocore(
    bucket: str, fault_proxy: FaultProxy, config: AioConfig
) -> None:
    await check_all_is_of_botocore(bucket, fault_proxy, config=config)


async def test_one_attempt_by_the_environment_is_one(
    bucket: str, fault_proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    await check_all_is_of_botocore(bucket, fault_proxy)


async def check_all_is_of_botocore(bucket: str, proxy: FaultProxy, **options: Any) -> None:
    async with open_store(f"s3://{bucket}/p", endpoint_url=proxy.endpoint, **options) as store:
        await store.mark_done("a", RECORD)
        assert await store.is_done("a")
    assert all(map(is_of_botocore, proxy.requests))


async def test_two_stores_of_one_loop_keep_apart(
    moto_server: MotoServer, bucket: str, fault_proxy: FaultProxy
) -> None:
    moto_server.create_bucket(other := f"{bucket[:40]}-two")
    session = aioboto3.Session(aws_access_key_id="OTHERKEY", aws_secret_access_key="x", region_name="eu-west-3")
    async with (
        warm(f"s3://{bucket}/p", endpoint_url=fault_proxy.endpoint) as one,
        warm(f"s3://{other}/q", endpoint_url=fault_proxy.endpoint, session=session) as two,
    ):
        start = len(fault_proxy.requests)
        await asyncio.gather(*(store.mark_done(f"s{n}", {"n": n}) for n in range(20) for store in (one, two)))
    for request in fault_proxy.requests[start:]:
        is_two = request.path.startswith(f"/{other}/q/")
        assert is_two is ("Credential=OTHERKEY/" in request.headers["authorization"])
        assert is_two is ("/eu-west-3/" in request.headers["authorization"])
    assert moto_server.keys(bucket) == sorted(f"p/s{n}" for n in range(20))
    assert moto_server.keys(other) == sorted(f"q/s{n}" for n in range(20))


@pytest.mark.parametrize("reply", [False, True], ids=["before it arrives", "before its reply"])
async def test_a_store_that_is_closed_under_a_request_leaves_nothing_open(
    bucket: str, fault_proxy: FaultProxy, reply: bool
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        store = await stack.enter_async_context(warm(f"s3://{bucket}/p", endpoint_url=fault_proxy.endpoint))
        fault_proxy.inject(Hold(asyncio.Event(), reply=reply))
        sent = len(fault_proxy.requests)
        marking = asyncio.create_task(store.mark_done("a", RECORD))
        await fault_proxy.wait_for(lambda proxy: len(proxy.requests) > sent and proxy.in_flight == 1)
        assert not is_of_botocore(fault_proxy.requests[-1])
    with pytest.raises(StoreClosedError):
        await marking
    assert len(fault_proxy.requests) == sent + 1  # botocore sent it no more


async def test_a_bucket_that_goes_away_is_told(
    moto_server: MotoServer, bucket: str, fault_proxy: FaultProxy
) -> None:
    async with open_store(f"s3://{bucket}/p", endpoint_url=fault_proxy.endpoint) as store:
        assert await store.mark_done("a", RECORD)
        moto_server.request("DELETE", f"/{bucket}/p/a")
        moto_server.request("DELETE", f"/{bucket}")
        for use in (store.is_done("a"), store.mark_done("a", RECORD), store.read_done("a"), store.list_done()):
            with pytest.raises(BucketNotFoundError):
                await use


async def test_a_record_without_end_is_not_read_to_it(
    moto_server: MotoServer, bucket: str, fault_proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("_s3.direct", "_records"):
        monkeypatch.setattr(f"asyncsteps.store.{module}.MAX_RECORD_BYTES", 1000)
    moto_server.put(bucket, "p/a", b'{"padding": "%s"}' % (b"x" * 2000))
    async with warm(f"s3://{bucket}/p", endpoint_url=fault_proxy.endpoint) as store:
        assert await store.is_done("a")  # whatever its length
        assert not is_of_botocore(fault_proxy.requests[-1])
        with pytest.raises(RecordError, match="at most 1,000 bytes"):
            await store.read_done("a")

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 100

    response: Any = SimpleNamespace(content=SimpleNamespace(iter_any=endless))
    with pytest.raises(UnexpectedReplyError):
        await direct._read(response)


@pytest.mark.parametrize(
    "fault", [Cut(), error_answer(403, "InvalidAccessKeyId"), Answer(200, b"<html/>")], ids=["cut", "403", "page"]
)
async def test_nothing_secret_is_said(
    bucket: str, fault_proxy: FaultProxy, caplog: pytest.LogCaptureFixture, fault: Any
) -> None:
    caplog.set_level(logging.DEBUG, logger="asyncsteps")
    async with warm(f"s3://{bucket}/p", endpoint_url=fault_proxy.endpoint) as store:
        fault_proxy.rule = lambda _: fault
        with pytest.raises((EndpointUnreachableError, AccessDeniedError)) as caught:
            await store.mark_done("a", RECORD)
        said = f"{caught.value!s} {caught.value!r} {store!r} {vars(store._client)!r} {caplog.text}"
    assert "put_object goes through botocore" in caplog.text
    for value in leaks.CREDENTIALS.values():
        assert value not in said
    assert "Signature=" not in said


async def test_credentials_that_cannot_be_refreshed_are_told(bucket: str, fault_proxy: FaultProxy) -> None:
    async def refresh() -> dict[str, str]:
        raise ValueError("the token is gone")

    first = {"access_key": "KEY", "secret_key": "s", "token": "t", "expiry_time": "2100-01-01T00:00:00Z"}
    credentials = AioRefreshableCredentials.create_from_metadata(first, refresh_using=refresh, method="test")
    core = AioSession()
    core._credentials = credentials  # type: ignore[attr-defined]
    async with warm(
        f"s3://{bucket}/p", endpoint_url=fault_proxy.endpoint, region_name="us-east-1", session=core
    ) as store:
        credentials._expiry_time = datetime(2000, 1, 1, tzinfo=UTC)  # type: ignore[attr-defined]
        sent = len(fault_proxy.requests)
        with pytest.raises(Exception, match="the token is gone"):
            await store.mark_done("a", RECORD)
        assert len(fault_proxy.requests) == sent


async def test_what_is_not_answered_in_time_goes_through_botocore(bucket: str, fault_proxy: FaultProxy) -> None:
    """And does not use up the time of the operation."""
    config = AioConfig(read_timeout=0.1)
    async with warm(f"s3://{bucket}/p", endpoint_url=fault_proxy.endpoint, config=config) as store:
        held = Hold(asyncio.Event())
        fault_proxy.rule = lambda request: None if is_of_botocore(request) else held
        assert await store.mark_done("a", RECORD)
        assert await store.is_done("a")
        assert await store.list_done() == ["a"]
        assert await store.read_done("a") == RECORD
        assert store.transport == "direct"
        fault_proxy.rule = lambda _: None
        assert await store.is_done("a")
        assert not is_of_botocore(fault_proxy.requests[-1])
        held.release.set()
