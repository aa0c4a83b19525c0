"""Small requests that go past botocore: where they do, and that botocore takes over whatever goes wrong."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import aioboto3
import pytest
from aiobotocore.config import AioConfig
from aiobotocore.credentials import AioRefreshableCredentials
from aiobotocore.session import AioSession
from botocore import UNSIGNED
from servers import Answer, Cut, Fault, FaultProxy, MotoServer, Request, error_answer, slow_down

from asyncsteps._errors import AccessDeniedError, StoreOptionError, ThrottledError
from asyncsteps.store import S3Store, open_store
from asyncsteps.store._s3 import direct

pytestmark = pytest.mark.usefixtures("no_retry_pauses")

RECORD = {"run_id": "r1"}


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unexpected answer is followed by no time for which botocore sends all."""
    monkeypatch.setattr(direct, "_PAUSE", 0.0)


def open_s3(bucket: str, endpoint: str | None, **options: Any) -> S3Store:
    store = open_store(f"s3://{bucket}/p", endpoint_url=endpoint, **options)
    assert isinstance(store, S3Store)
    return store


def is_of_botocore(request: Request) -> bool:
    return "amz-sdk-invocation-id" in request.headers


async def is_done(store: S3Store) -> object:
    return await store.is_done("known"), await store.is_done("unknown")


async def read_done(store: S3Store) -> object:
    return await store.read_done("known"), await store.read_done("unknown")


async def list_done(store: S3Store) -> object:
    return await store.list_done()


async def mark_done(store: S3Store) -> object:
    return await store.mark_done("new", RECORD), await store.read_done("new")


async def mark_first(store: S3Store) -> object:
    return (
        await store.mark_done("new", RECORD, first_wins=True),
        await store.mark_done("known", {}, first_wins=True),
        await store.read_done("known"),
    )


async def withdraw(store: S3Store) -> object:
    return await store.withdraw(["known", "odd\uffff", "unknown"]), await store.is_done("known")


WORK = [is_done, read_done, list_done, mark_done, mark_first, withdraw]

UNEXPECTED: dict[str, Fault] = {
    "500": error_answer(500, "InternalError"),
    "503": slow_down(),
    "200 without what it must have": Answer(200, b""),
    "200 of a login page": Answer(200, b"<html>Log in</html>", {"Content-Type": "text/html"}),
    "204": Answer(204),
    "302": Answer(302, b"", {"Location": "http://127.0.0.1:1/"}),
    "403 of a login page": Answer(403, b"<html>Log in</html>"),
    "404 of something else": Answer(404, b"<html>Not Found</html>"),
    "412 of something else": Answer(412, b"<html>Precondition Failed</html>"),
    "cut before": Cut(),
    "cut after": Cut(after_bytes=0),
    "truncated": Cut(after_bytes=150),
}


@pytest.mark.parametrize("work", WORK)
async def test_requests_go_past_botocore_once_one_was_answered(
    bucket: str, fault_proxy: FaultProxy, work: Callable[[S3Store], Awaitable[object]]
) -> None:
    async with open_s3(bucket, fault_proxy.endpoint) as store:
        assert store.transport == "botocore"
        await store.mark_done("known", RECORD)
        assert store.transport == "direct"
        results = await work(store)
    first, *others = [request for request in fault_proxy.requests if "/p/" in request.target or request.is_listing]
    assert is_of_botocore(first)
    assert not any(map(is_of_botocore, others))  # HeadBucket and DeleteObjects are left to it
    async with open_s3(bucket, fault_proxy.endpoint, transport="botocore") as store:
        for name in await store.list_done():
            await store.withdraw([name])
        await store.mark_done("known", RECORD)
        assert await work(store) == results
        assert store.transport == "botocore"


@pytest.mark.parametrize("work", WORK)
@pytest.mark.parametrize("fault", UNEXPECTED.values(), ids=UNEXPECTED)
async def test_botocore_takes_over_whatever_is_not_as_hoped(
    bucket: str, fault_proxy: FaultProxy, fault: Fault, work: Callable[[S3Store], Awaitable[object]]
) -> None:
    """Each request fails at its first sending, past botocore, and never at its second."""
    async with open_s3(bucket, fault_proxy.endpoint) as store:
        await store.mark_done("known", RECORD)
        fault_proxy.rule = lambda request: None if is_of_botocore(request) or is_answer(fault, request) else fault
        disturbed = await work(store)
        assert store.transport == "direct"
    async with open_s3(bucket, fault_proxy.endpoint, transport="botocore") as store:
        for name in await store.list_done():
            await store.withdraw([name])
        await store.mark_done("known", RECORD)
        assert await work(store) == disturbed


def is_answer(fault: Fault, request: Request) -> bool:
    """Whether nobody could tell that the fault is none of S3's answers: those to HEAD have no body."""
    return request.method == "HEAD" and isinstance(fault, Answer) and fault.status == 404


@pytest.mark.parametrize(
    "options",
    [
        {"transport": "botocore"},
        {"attempts": 1},
        {"config": AioConfig(signature_version=UNSIGNED)},
        {"config": AioConfig(request_checksum_calculation="when_supported")},
        {"config": AioConfig(s3={"payload_signing_enabled": False})},
    ],
    ids=["asked for", "one attempt", "anonymous", "checksums", "unsigned payload"],
)
async def test_what_only_botocore_can_do_stays_with_it(bucket: str, fault_proxy: FaultProxy, options: Any) -> None:
    async with open_s3(bucket, fault_proxy.endpoint, **options) as store:
        assert await store.mark_done("a", RECORD)
        assert await store.list_done() == ["a"]
        assert store.transport == "botocore"
    assert all(is_of_botocore(request) for request in fault_proxy.requests)


async def test_signature_version_2_stays_with_botocore(bucket: str, fault_proxy: FaultProxy) -> None:
    fault_proxy.rule = lambda _: Answer(200, b"", {"ETag": '"0"'})  # moto stumbles over some of these signatures
    config = AioConfig(signature_version="s3")
    async with open_s3(bucket, fault_proxy.endpoint, config=config) as store:
        assert await store.mark_done("a", RECORD)
        assert await store.mark_done("b", RECORD)
        assert store.transport == "botocore"
    assert all(is_of_botocore(request) for request in fault_proxy.requests)


async def test_a_client_of_the_caller_stays_with_botocore(bucket: str, fault_proxy: FaultProxy) -> None:
    async with (
        aioboto3.Session().client("s3", endpoint_url=fault_proxy.endpoint) as client,
        open_s3(bucket, None, client=client) as store,
    ):
        assert await store.mark_done("a", RECORD)
        assert await store.is_done("a")
        assert store.transport == "botocore"
    assert all(is_of_botocore(request) for request in fault_proxy.requests)


@pytest.mark.parametrize("event", ["before-send.s3", "before-sign.s3.PutObject", "*.*.HeadObject", "needs-retry"])
async def test_handlers_of_the_caller_keep_all_with_botocore(
    bucket: str, fault_proxy: FaultProxy, event: str
) -> None:
    seen: list[object] = []

    def handle(**given: object) -> None:
        seen.append(given)

    session = aioboto3.Session()
    session.events.register(event, handle)
    async with open_s3(bucket, fault_proxy.endpoint, session=session) as store:
        assert await store.mark_done("a", RECORD)
        assert await store.is_done("a")
        assert store.transport == "botocore"
    assert seen


async def test_a_session_of_the_caller_is_sent_past_botocore(bucket: str, fault_proxy: FaultProxy) -> None:
    session = aioboto3.Session(aws_access_key_id="OTHERKEY", aws_secret_access_key="x", region_name="eu-west-3")
    async with open_s3(bucket, fault_proxy.endpoint, session=session) as store:
        await store.mark_done("a", RECORD)
        await store.mark_done("b", RECORD)
        assert store.transport == "direct"
    authorization = fault_proxy.requests[-1].headers["authorization"]
    assert "Credential=OTHERKEY/" in authorization
    assert "/eu-west-3/s3/aws4_request" in authorization


async def test_a_session_of_aiobotocore_is_as_good(bucket: str, fault_proxy: FaultProxy) -> None:
    core = AioSession()
    core.set_credentials("OTHERKEY", "x")
    core.set_config_variable("region", "eu-west-3")
    async with open_s3(bucket, fault_proxy.endpoint, session=core) as store:
        await store.mark_done("a", RECORD)
        await store.mark_done("b", RECORD)
        assert store.transport == "direct"
    assert "Credential=OTHERKEY/" in fault_proxy.requests[-1].headers["authorization"]


async def test_credentials_that_are_rotated_are_seen(bucket: str, fault_proxy: FaultProxy) -> None:
    made = 0

    async def refresh() -> dict[str, str]:
        nonlocal made
        made += 1
        return {
            "access_key": f"KEY{made}",
            "secret_key": "s",
            "token": f"token{made}",
            "expiry_time": "2100-01-01T00:00:00Z",
        }

    credentials = AioRefreshableCredentials.create_from_metadata(
        await refresh(), refresh_using=refresh, method="test"
    )
    core = AioSession()
    core._credentials = credentials  # type: ignore[attr-defined]
    core.set_config_variable("region", "us-east-1")
    async with open_s3(bucket, fault_proxy.endpoint, session=aioboto3.Session(botocore_session=core)) as store:
        await store.mark_done("a", RECORD)
        await store.mark_done("b", RECORD)
        credentials._expiry_time = datetime(2000, 1, 1, tzinfo=UTC)  # type: ignore[attr-defined]
        await store.mark_done("c", RECORD)
        assert store.transport == "direct"
    keys = [request.headers["authorization"].partition("Credential=")[2][:4] for request in fault_proxy.requests]
    assert keys == ["KEY1", "KEY1", "KEY2"]
    assert fault_proxy.requests[-1].headers["x-amz-security-token"] == "token2"
    assert not is_of_botocore(fault_proxy.requests[-1])


async def test_an_error_of_botocore_counts_the_attempt_before_it(bucket: str, fault_proxy: FaultProxy) -> None:
    async with open_s3(bucket, fault_proxy.endpoint, attempts=2) as store:
        await store.mark_done("a", RECORD)
        before = len(fault_proxy.requests)
        fault_proxy.rule = lambda _: slow_down()
        with pytest.raises(ThrottledError, match="after 3 attempts"):
            await store.is_done("a")
    assert len(fault_proxy.requests) - before == 3


async def test_a_permission_that_is_missing_is_told_as_ever(bucket: str, fault_proxy: FaultProxy) -> None:
    async with open_s3(bucket, fault_proxy.endpoint) as store:
        await store.mark_done("a", RECORD)
        fault_proxy.rule = lambda _: error_answer(403, "AccessDenied")
        with pytest.raises(AccessDeniedError, match="s3:PutObject"):
            await store.mark_done("b", RECORD)


async def test_after_an_unexpected_answer_botocore_sends_all_for_a_while(
    bucket: str, fault_proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(direct, "_PAUSE", 3600.0)
    async with open_s3(bucket, fault_proxy.endpoint) as store:
        await store.mark_done("a", RECORD)
        fault_proxy.inject(slow_down())
        for name in "bcd":
            await store.mark_done(name, RECORD)
    assert [is_of_botocore(request) for request in fault_proxy.requests] == [True, False, True, True, True]


async def test_a_conditional_put_whose_reply_was_lost_is_known_again(
    moto_server: MotoServer, bucket: str, fault_proxy: FaultProxy
) -> None:
    async with open_s3(bucket, fault_proxy.endpoint) as store:
        await store.mark_done("a", RECORD, first_wins=True)
        fault_proxy.inject(Cut(after_bytes=0), when=lambda request: request.method == "PUT")
        assert await store.mark_done("b", {"n": 1}, first_wins=True) is True
        assert await store.mark_done("b", {"n": 2}, first_wins=True) is False
    assert b'"n": 1' in moto_server.get(bucket, "p/b")


async def test_requests_go_through_the_proxy_that_botocore_is_configured_with(
    bucket: str, fault_proxy: FaultProxy, s3_endpoint: str
) -> None:
    config = AioConfig(proxies={"http": fault_proxy.endpoint})
    fault_proxy.rewrite = lambda target: target.removeprefix(s3_endpoint)
    async with open_s3(bucket, s3_endpoint, config=config) as store:
        assert await store.mark_done("a", RECORD)
        assert await store.list_done() == ["a"]
        assert store.transport == "direct"
    assert [is_of_botocore(request) for request in fault_proxy.requests] == [True, False]
    assert all(request.target.startswith(s3_endpoint) for request in fault_proxy.requests)


def test_another_transport_is_refused() -> None:
    with pytest.raises(StoreOptionError, match="transport='aiohttp' is unknown"):
        open_store("s3://bucket/p", transport="aiohttp")
