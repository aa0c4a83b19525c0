"""The S3 store: keys, requests, clients, conditional puts, withdrawals in batches."""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import aioboto3
import botocore.config
import pytest
from servers import Answer, FaultProxy, MotoServer, Request, error_answer

from asyncsteps._errors import AccessDeniedError, StoreClosedError, StoreError
from asyncsteps.store import S3Store, open_store
from asyncsteps.store._s3.client import _NEEDLESS, tune

pytestmark = pytest.mark.usefixtures("no_retry_pauses")

RECORD = {"run_id": "r1", "workflow_id": "w1", "version": "1"}


@contextlib.asynccontextmanager
async def s3_store(bucket: str, endpoint: str, prefix: str = "p", **options: Any) -> AsyncIterator[S3Store]:
    async with open_store(f"s3://{bucket}/{prefix}", endpoint_url=endpoint, **options) as store:
        assert isinstance(store, S3Store)
        yield store


def named(method: str, part: str = "") -> Any:
    return lambda request: request.method == method and part in request.target


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


async def test_the_longest_key_is_1024_bytes(moto_server: MotoServer, bucket: str, s3_endpoint: str) -> None:
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
    moto_server: MotoServer, bucket: str, fault_proxy: FaultProxy
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


async def test_first_wins_is_proven_once_and_then_takes_one_request_to_win(
    bucket: str, fault_proxy: FaultProxy
) -> None:
    async with s3_store(bucket, fault_proxy.endpoint) as store:
        assert await store.mark_done("a", {"n": 1}, first_wins=True) is True
        proof = len(fault_proxy.requests)
        assert await store.mark_done("b", {"n": 2}, first_wins=True) is True
        assert await store.mark_done("b", {"n": 3}, first_wins=True) is False
        assert [request.method for request in fault_proxy.requests[proof:]] == ["PUT", "PUT", "HEAD"]
        assert fault_proxy.requests[-2].headers["if-none-match"] == "*"
        assert await store.read_done("b") == {"n": 2}


async def test_first_wins_on_a_server_that_ignores_conditions(
    bucket: str, fault_proxy: FaultProxy, caplog: pytest.LogCaptureFixture
) -> None:
    fault_proxy.drop_headers = {"if-none-match"}
    async with s3_store(bucket, fault_proxy.endpoint) as store:
        await store.mark_done("old", {"n": 0})
        assert await store.mark_done("old", {"n": 1}, first_wins=True) is False
        assert await store.mark_done("a", {"n": 2}, first_wins=True) is True
        assert await store.mark_done("a", {"n": 3}, first_wins=True) is False
        assert await store.mark_done("b", {"n": 4}, first_wins=True) is True
        assert [await store.read_done(name) for name in ("old", "a", "b")] == [{"n": 0}, {"n": 2}, {"n": 4}]
    [warning] = [record for record in caplog.records if "If-None-Match" in record.getMessage()]
    assert fault_proxy.endpoint in warning.getMessage()


async def test_first_wins_on_a_server_without_conditions(bucket: str, fault_proxy: FaultProxy) -> None:
    def refuse(request: Request) -> Answer | None:
        conditional = "if-none-match" in request.headers
        return error_answer(501, "NotImplemented", "A header you provided") if conditional else None

    fault_proxy.rule = refuse
    async with s3_store(bucket, fault_proxy.endpoint) as store:
        assert await store.mark_done("a", {"n": 1}, first_wins=True) is True
        assert await store.mark_done("a", {"n": 2}, first_wins=True) is False
        assert await store.read_done("a") == {"n": 1}


async def test_a_mark_withdrawn_while_first_wins_is_proven_misleads_nobody(
    moto_server: MotoServer, bucket: str, fault_proxy: FaultProxy, caplog: pytest.LogCaptureFixture
) -> None:
    puts: list[Request] = []

    def withdraw_before_the_second(request: Request) -> None:
        if request.method == "PUT":
            puts.append(request)
            if len(puts) == 2:
                moto_server.request("DELETE", f"/{bucket}/p/a")

    fault_proxy.rule = withdraw_before_the_second
    async with s3_store(bucket, fault_proxy.endpoint) as store:
        assert await store.mark_done("a", {"n": 1}, first_wins=True) is True
        assert await store.mark_done("a", {"n": 2}, first_wins=True) is False
        assert fault_proxy.requests[-2].headers["if-none-match"] == "*"
    assert caplog.records == []


async def test_a_mark_is_stored_though_its_proof_fails(bucket: str, fault_proxy: FaultProxy) -> None:
    puts: list[Request] = []

    def fail_the_second(request: Request) -> Answer | None:
        if request.method != "PUT":
            return None
        puts.append(request)
        return error_answer(400, "InvalidRequest") if len(puts) == 2 else None

    fault_proxy.rule = fail_the_second
    async with s3_store(bucket, fault_proxy.endpoint) as store:
        assert await store.mark_done("a", {"n": 1}, first_wins=True) is True
        assert await store.mark_done("a", {"n": 2}, first_wins=True) is False
        assert await store.mark_done("b", {"n": 3}, first_wins=True) is True
        assert len(puts) == 5  # proven by b, then; the refused one was sent again by botocore


async def test_a_race_that_s3_answers_with_a_conflict_is_tried_again(bucket: str, fault_proxy: FaultProxy) -> None:
    async with s3_store(bucket, fault_proxy.endpoint) as store:
        conflict = error_answer(409, "ConditionalRequestConflict")
        fault_proxy.inject(conflict, times=3, when=named("PUT"))
        assert await store.mark_done("a", {"n": 1}, first_wins=True) is True
        fault_proxy.inject(conflict, times=3, when=named("PUT"))
        assert await store.mark_done("a", {"n": 2}, first_wins=True) is False
        fault_proxy.inject(conflict, times=99, when=named("PUT"))
        with pytest.raises(StoreError, match="ConditionalRequestConflict"):
            await store.mark_done("b", {"n": 1}, first_wins=True)


async def test_withdrawals_take_a_thousand_names_a_request(
    moto_server: MotoServer, bucket: str, fault_proxy: FaultProxy
) -> None:
    async with s3_store(bucket, fault_proxy.endpoint) as store:
        await asyncio.gather(*(store.mark_done(f"w.{n:03}", RECORD) for n in range(60)))
        sent = len(fault_proxy.requests)
        assert await store.withdraw(f"w.{n:03}" for n in range(3000)) == [f"w.{n:03}" for n in range(60)]
        methods = [request.method for request in fault_proxy.requests[sent:]]
        assert methods.count("POST") == 3
        assert len(methods) < 40
    assert moto_server.keys(bucket) == []


@pytest.mark.parametrize("many", [0, 60])
async def test_what_is_withdrawn_is_deleted_though_a_lookup_does_not_find_it(
    bucket: str, fault_proxy: FaultProxy, many: int
) -> None:
    """A server may answer a lookup with 404, or leave a key out of a page, though a listing has shown it."""
    names = ["a", *(f"n{number:02}" for number in range(many))]
    nothing = "<ListBucketResult><KeyCount>0</KeyCount><IsTruncated>false</IsTruncated></ListBucketResult>"

    def blind(request: Request) -> Answer | None:
        if request.is_listing:
            return Answer(200, nothing.encode(), {"Content-Type": "application/xml"})
        return Answer(404) if named("HEAD", "/p/")(request) else None

    async with s3_store(bucket, fault_proxy.endpoint) as store:
        await store.mark_done("a", RECORD)
        fault_proxy.rule = blind
        assert await store.withdraw(names) == []
        fault_proxy.rule = None
        assert await store.list_done() == []


async def test_no_names_withdraw_nothing(bucket: str, fault_proxy: FaultProxy) -> None:
    async with s3_store(bucket, fault_proxy.endpoint) as store:
        assert await store.withdraw([]) == []
    assert fault_proxy.requests == []


def deletion(*gone: str, refused: str = "", code: str = "") -> Answer:
    """Build a DeleteObjects reply: keys (letters) that were deleted, and others that were not."""
    deleted = "".join(f"<Deleted><Key>p/{key}</Key></Deleted>" for key in gone)
    errors = "".join(
        f"<Error><Key>p/{key}</Key><Code>{code}</Code><Message>no</Message></Error>" for key in refused
    )
    return Answer(
        200, f"<DeleteResult>{deleted}{errors}</DeleteResult>".encode(), {"Content-Type": "application/xml"}
    )


async def test_names_that_cannot_be_withdrawn_are_told(bucket: str, fault_proxy: FaultProxy) -> None:
    async with s3_store(bucket, fault_proxy.endpoint) as store:
        await asyncio.gather(*(store.mark_done(name, RECORD) for name in "abc"))
        fault_proxy.inject(deletion("a", "c", refused="b", code="AccessDenied"), when=named("POST"))
        with pytest.raises(AccessDeniedError, match=r"not withdrawn: 'b'.*withdrawn: 'a', 'c'.*s3:DeleteObject"):
            await store.withdraw("abc"[i] for i in range(3))
        fault_proxy.inject(deletion(refused="abc", code="MethodNotAllowed"), when=named("POST"))
        with pytest.raises(StoreError, match=r"MethodNotAllowed.*withdrawn: none"):
            await store.withdraw(list("abc"))
        fault_proxy.inject(deletion("c", refused="b", code="InternalError"), when=named("POST"))
        assert await store.withdraw(["b", "c"]) == ["b", "c"]
        assert await store.list_done() == ["a", "c"]  # the proxy answered for c; b alone was sent again
        fault_proxy.inject(Answer(200, b"<html>a login page</html>"), times=9, when=named("POST"))
        with pytest.raises(StoreError, match=r"not withdrawn: 'a'.*no confirmation"):
            await store.withdraw(["a"])


async def test_pages_that_cannot_be_trusted_are_replaced_by_a_whole_listing(
    bucket: str, fault_proxy: FaultProxy, caplog: pytest.LogCaptureFixture
) -> None:
    names = [f"s{n}" for n in range(5)]
    async with s3_store(bucket, fault_proxy.endpoint) as store:
        await asyncio.gather(*(store.mark_done(name, RECORD) for name in names))
        fault_proxy.rewrite = lambda target: target.replace("start-after", "ignored")
        page = await store.done_page("s2")
        assert (page.names, page.through) == (("s3", "s4"), None)
        assert "ignore StartAfter" in caplog.text
        assert await store.withdraw([*names, *(f"x{n}" for n in range(40))]) == names


async def test_pages_without_keys_are_passed_over(bucket: str, fault_proxy: FaultProxy) -> None:
    empty = (
        "<ListBucketResult><KeyCount>0</KeyCount><IsTruncated>true</IsTruncated>"
        "<NextContinuationToken>more</NextContinuationToken></ListBucketResult>"
    )
    async with s3_store(bucket, fault_proxy.endpoint) as store:
        await store.mark_done("a", RECORD)
        fault_proxy.inject(Answer(200, empty.encode(), {"Content-Type": "application/xml"}))
        fault_proxy.rewrite = lambda target: target.replace("continuation-token=more", "")
        page = await store.done_page()
        assert (page.names, page.through) == (("a",), None)


async def test_characters_that_xml_cannot_carry_spoil_no_withdrawal(
    moto_server: MotoServer, bucket: str, s3_endpoint: str
) -> None:
    names = ["a", "b\ufffe", "c\uffff", "d\ufffd"]
    async with s3_store(bucket, s3_endpoint) as store:
        await asyncio.gather(*(store.mark_done(name, RECORD) for name in names))
        assert await store.list_done() == names
        assert await store.withdraw(names) == names
    assert moto_server.keys(bucket) == []


async def test_a_withdrawal_that_fails_alone_is_told(bucket: str, fault_proxy: FaultProxy) -> None:
    async with s3_store(bucket, fault_proxy.endpoint) as store:
        await asyncio.gather(*(store.mark_done(name, RECORD) for name in ("a", "b\uffff")))
        fault_proxy.inject(error_answer(403, "AccessDenied"), times=2, when=named("DELETE"))
        with pytest.raises(StoreError, match=r"not withdrawn: 'b\\uffff'.*withdrawn: 'a'"):
            await store.withdraw(["a", "b\uffff"])
        assert await store.list_done() == ["b\uffff"]


async def test_a_request_that_fails_beside_others_is_told_with_them(
    bucket: str, fault_proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asyncsteps.store._s3.delete._BATCH", 2)
    async with s3_store(bucket, fault_proxy.endpoint) as store:
        await asyncio.gather(*(store.mark_done(name, RECORD) for name in "abc"))
        denied = error_answer(403, "AccessDenied")
        fault_proxy.inject(denied, when=lambda request: b"p/c" in request.body)
        with pytest.raises(StoreError, match=r"not withdrawn: 'c'.*withdrawn: 'a', 'b'") as caught:
            await store.withdraw(["a", "b", "c"])
        assert isinstance(caught.value.__cause__, AccessDeniedError)
        fault_proxy.inject(denied, when=named("POST"))
        with pytest.raises(AccessDeniedError, match="s3:DeleteObject"):
            await store.withdraw(["c"])
        assert await store.list_done() == ["c"]
