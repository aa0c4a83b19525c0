"""Each failure of S3 raises its own error, with place and remedy; no exception of botocore or aiohttp leaks."""

import contextlib
import socket
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import botocore.config
import pytest
from servers import Answer, Cut, Fault, FaultProxy, Hold, MotoServer, Request, error_answer, slow_down

from asyncsteps._errors import (
    AccessDeniedError,
    BucketNotFoundError,
    ClockSkewError,
    EndpointUnreachableError,
    RecordError,
    StoreError,
    StoreURLError,
    ThrottledError,
    WrongRegionError,
)
from asyncsteps.store import StepStore, open_store

pytestmark = pytest.mark.usefixtures("no_retry_pauses")

RECORD = {"run_id": "r1"}
ONE_ATTEMPT = botocore.config.Config(retries={"total_max_attempts": 1})

USES: dict[str, Callable[[StepStore], Awaitable[object]]] = {
    "is_done": lambda store: store.is_done("a"),
    "read_done": lambda store: store.read_done("a"),
    "mark_done": lambda store: store.mark_done("a", RECORD),
    "first_wins": lambda store: store.mark_done("a", RECORD, first_wins=True),
    "list_done": lambda store: store.list_done(),
    "list_under": lambda store: store.list_done("a.b"),
    "done_page": lambda store: store.done_page(),
    "withdraw": lambda store: store.withdraw(["a"]),
    "withdraw_many": lambda store: store.withdraw(f"n{n}" for n in range(30)),
}


def only_ours(error: BaseException) -> None:
    """Check that the error is ours, with its cause chained, and no exception group."""
    assert type(error).__module__ == "asyncsteps._errors"
    assert error.__cause__ is not None
    assert not isinstance(error, ExceptionGroup)


@pytest.mark.parametrize("use", USES)
async def test_a_missing_bucket(s3_endpoint: str, use: str) -> None:
    async with open_store("s3://no-such-bucket/p", endpoint_url=s3_endpoint) as store:
        with pytest.raises(BucketNotFoundError, match="create it, or check its name") as caught:
            await USES[use](store)
    only_ours(caught.value)
    assert (caught.value.bucket, caught.value.endpoint) == ("no-such-bucket", s3_endpoint)


@pytest.mark.parametrize("use", USES)
async def test_an_endpoint_where_nobody_listens(use: str) -> None:
    with contextlib.closing(socket.socket()) as taken:  # bound, and not listening
        taken.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{taken.getsockname()[1]}"
        async with open_store("s3://b/p", endpoint_url=endpoint, config=ONE_ATTEMPT) as store:
            with pytest.raises(EndpointUnreachableError, match="endpoint_url, AWS_ENDPOINT_URL_S3") as caught:
                await USES[use](store)
    only_ours(caught.value)
    assert caught.value.endpoint == endpoint


async def test_a_host_that_does_not_exist() -> None:
    url = "http://nowhere.invalid"
    async with open_store("s3://b/p", endpoint_url=url, config=ONE_ATTEMPT) as store:
        with pytest.raises(EndpointUnreachableError) as caught:
            await store.is_done("a")
    only_ours(caught.value)


REPLIES: list[tuple[Answer, type[StoreError], str]] = [
    (error_answer(403, "AccessDenied", "no"), AccessDeniedError, "permission"),
    (
        error_answer(403, "InvalidAccessKeyId"),
        AccessDeniedError,
        "credentials are not accepted.*AWS_ACCESS_KEY_ID",
    ),
    (error_answer(403, "SignatureDoesNotMatch"), AccessDeniedError, "credentials are not accepted"),
    (error_answer(400, "ExpiredToken"), AccessDeniedError, "credentials are not accepted"),
    (error_answer(403, "RequestTimeTooSkewed"), ClockSkewError, "clock.*NTP"),
    (
        error_answer(400, "AuthorizationHeaderMalformed", **{"x-amz-bucket-region": "eu-west-9"}),
        WrongRegionError,
        "in 'eu-west-9'; pass that region_name",
    ),
    (
        error_answer(301, "PermanentRedirect", **{"x-amz-bucket-region": "eu-west-9"}),
        WrongRegionError,
        "region_name",
    ),
    (slow_down(), ThrottledError, "lower the concurrency"),
    (error_answer(429, "TooManyRequests"), ThrottledError, "slow down"),
    (error_answer(500, "InternalError"), StoreError, "the server failed"),
    (error_answer(504, "504"), EndpointUnreachableError, "answered 504 after 1 attempt"),
    (error_answer(400, "InvalidRequest", "what is this"), StoreError, r"InvalidRequest \(what is this\)"),
    (
        Answer(200, b"<html>a login page</html>", {"Content-Type": "text/html"}),
        EndpointUnreachableError,
        "none of S3's",
    ),
    (Answer(403, b"<html>a proxy</html>", {"Content-Type": "text/html"}), AccessDeniedError, "403"),
]


@pytest.mark.parametrize("reply", REPLIES, ids=lambda reply: f"{reply[0].status}-{reply[1].__name__}")
async def test_what_the_server_answers(
    bucket: str, fault_proxy: FaultProxy, reply: tuple[Answer, type[StoreError], str]
) -> None:
    answer, expected, says = reply
    fault_proxy.rule = lambda _: answer
    async with open_store(f"s3://{bucket}/p", endpoint_url=fault_proxy.endpoint, config=ONE_ATTEMPT) as store:
        uses = ["mark_done", "done_page" if answer.status in {200, 429, 503, 504} else "list_done"]
        for use in uses:
            with pytest.raises(expected, match=says) as caught:
                await USES[use](store)
            assert type(caught.value).__module__ == "asyncsteps._errors"
            assert caught.value.bucket == bucket
            assert caught.value.endpoint == fault_proxy.endpoint
            if use == "mark_done":
                assert (caught.value.step, caught.value.key) == ("a", "p/a")


async def test_a_head_request_is_denied_with_the_permission_that_is_missing(
    bucket: str, fault_proxy: FaultProxy
) -> None:
    fault_proxy.rule = lambda request: Answer(403) if request.method == "HEAD" else None
    async with open_store(f"s3://{bucket}/p", endpoint_url=fault_proxy.endpoint) as store:
        with pytest.raises(AccessDeniedError, match=r"s3:ListBucket.*without it S3 answers 403 for a missing key"):
            await store.is_done("a")


async def test_a_bucket_that_may_not_be_asked_for_is_taken_to_be_there(
    bucket: str, fault_proxy: FaultProxy
) -> None:
    fault_proxy.rule = lambda request: Answer(403) if request.path == f"/{bucket}" else None
    async with open_store(f"s3://{bucket}/p", endpoint_url=fault_proxy.endpoint) as store:
        assert await store.is_done("a") is False


async def test_a_skewed_clock_is_told_from_a_denial_by_the_date(bucket: str, fault_proxy: FaultProxy) -> None:
    yesterday = format_datetime(datetime.now(UTC) - timedelta(days=1), usegmt=True)
    fault_proxy.rule = lambda _: Answer(403, headers={"Date": yesterday})
    async with open_store(f"s3://{bucket}/p", endpoint_url=fault_proxy.endpoint) as store:
        with pytest.raises(ClockSkewError, match=r"by 86[34]"):
            await store.is_done("a")


async def test_a_region_that_a_head_request_names(bucket: str, fault_proxy: FaultProxy) -> None:
    fault_proxy.rule = lambda _: Answer(400, headers={"x-amz-bucket-region": "eu-west-9"})
    async with open_store(f"s3://{bucket}/p", endpoint_url=fault_proxy.endpoint, config=ONE_ATTEMPT) as store:
        with pytest.raises(WrongRegionError, match="eu-west-9"):
            await store.is_done("a")


@pytest.mark.parametrize("fault", [Cut(), Cut(after_bytes=0), Cut(after_bytes=200)], ids=str)
@pytest.mark.parametrize("use", ["mark_done", "done_page", "read_done"])
async def test_connections_that_keep_breaking(
    moto_server: MotoServer, bucket: str, fault_proxy: FaultProxy, fault: Fault, use: str
) -> None:
    moto_server.put(bucket, "p/a", b'{"padding": "%s"}' % (b"x" * 1000))

    def breaking(request: Request) -> Fault | None:
        return fault if request.method != "HEAD" else None

    fault_proxy.rule = breaking
    async with open_store(f"s3://{bucket}/p", endpoint_url=fault_proxy.endpoint, config=ONE_ATTEMPT) as store:
        with pytest.raises(EndpointUnreachableError) as caught:
            await USES[use](store)
        only_ours(caught.value)
        fault_proxy.rule = None
        assert await store.is_done("a") is True


async def test_an_endpoint_that_never_answers(bucket: str, fault_proxy: FaultProxy) -> None:
    import asyncio

    fault_proxy.rule = lambda _: Hold(asyncio.Event())
    config = botocore.config.Config(retries={"total_max_attempts": 1}, read_timeout=0.05)
    async with open_store(f"s3://{bucket}/p", endpoint_url=fault_proxy.endpoint, config=config) as store:
        with pytest.raises(EndpointUnreachableError, match="Timeout"):
            await store.is_done("a")


async def test_no_credentials(bucket: str, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    async with open_store(f"s3://{bucket}/p", endpoint_url=s3_endpoint) as store:
        with pytest.raises(AccessDeniedError, match=r"no usable AWS credentials.*AWS_PROFILE") as caught:
            await store.list_done()
    only_ours(caught.value)


async def test_a_profile_that_does_not_exist(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    async with open_store("s3://b/p", endpoint_url=s3_endpoint) as store:
        with pytest.raises(AccessDeniedError, match="nobody") as caught:
            await store.list_done()
    only_ours(caught.value)


async def test_half_of_the_credentials(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    async with open_store("s3://b/p", endpoint_url=s3_endpoint) as store:
        with pytest.raises(AccessDeniedError, match="credentials"):
            await store.list_done()


@pytest.mark.parametrize("endpoint", ["http://", "http://h:port", "http://h h/"])
async def test_an_endpoint_that_is_no_url(endpoint: str) -> None:
    async with open_store("s3://b/p", endpoint_url=endpoint, config=ONE_ATTEMPT) as store:
        with pytest.raises((StoreURLError, EndpointUnreachableError)) as caught:
            await store.is_done("a")
    only_ours(caught.value)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff"])
async def test_an_object_that_is_no_json_object(
    moto_server: MotoServer, bucket: str, s3_endpoint: str, body: bytes
) -> None:
    moto_server.put(bucket, "p/a", body)
    async with open_store(f"s3://{bucket}/p", endpoint_url=s3_endpoint) as store:
        assert await store.is_done("a") is True
        with pytest.raises(RecordError, match="counts as done") as caught:
            await store.read_done("a")
    assert (caught.value.bucket, caught.value.key, caught.value.step) == (bucket, "p/a", "a")


async def test_a_listing_that_fails_half_way_gives_nothing(bucket: str, fault_proxy: FaultProxy) -> None:
    def second_page(request: Request) -> Any:
        return error_answer(403, "AccessDenied") if "continuation-token" in request.query else None

    async with open_store(f"s3://{bucket}/p", endpoint_url=fault_proxy.endpoint, concurrency=1) as store:
        for name in "abcdef":
            await store.mark_done(name, RECORD)
        fault_proxy.rewrite = lambda target: f"{target}&max-keys=2" if "list-type" in target else target
        fault_proxy.rule = second_page
        with pytest.raises(StoreError):
            await store.list_done()
