"""The S3 store: withdrawals in batches, and pages of done names."""

import asyncio

import pytest
from s3_store_support import RECORD, named, s3_store
from servers import Answer, FaultProxy, Hold, MotoServer, Request, error_answer

from asyncsteps._errors import AccessDeniedError, StoreError
from asyncsteps.store import StepStore

pytestmark = pytest.mark.usefixtures("no_retry_pauses")


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


async def small_batches(proxy: FaultProxy, store: StepStore, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Mark a hundred names, of which a page and a deletion take twenty, and forget the requests for that."""
    monkeypatch.setattr("asyncsteps.store._s3.delete.BATCH", 20)
    proxy.rewrite = lambda target: f"{target}&max-keys=20" if "list-type" in target else target
    names = [f"w.{number:03}" for number in range(100)]
    await asyncio.gather(*(store.mark_done(name, RECORD) for name in names))
    proxy.requests.clear()
    return names


async def test_a_batch_takes_a_look_up_and_a_deletion_beside_the_others(
    moto_server: MotoServer, bucket: str, fault_proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with s3_store(bucket, fault_proxy.endpoint) as store:
        names = await small_batches(fault_proxy, store, monkeypatch)
        release = asyncio.Event()
        last = lambda request: request.is_listing and "w.08" in request.target  # noqa: E731
        fault_proxy.inject(Hold(release), when=last)
        withdrawing = asyncio.create_task(store.withdraw(names))
        # One batch is still looked up while the others are deleted.
        await fault_proxy.wait_for(lambda proxy: [r.method for r in proxy.requests].count("POST") == 4)
        release.set()
        assert await withdrawing == names
        assert sorted(request.method for request in fault_proxy.requests) == ["GET"] * 5 + ["POST"] * 5
    assert moto_server.keys(bucket) == []


async def test_what_cannot_be_looked_up_is_told_and_not_deleted(
    bucket: str, fault_proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with s3_store(bucket, fault_proxy.endpoint) as store:
        names = await small_batches(fault_proxy, store, monkeypatch)
        denied = error_answer(403, "AccessDenied")
        fault_proxy.inject(denied, times=9, when=lambda request: request.is_listing and "w.08" in request.target)
        with pytest.raises(
            StoreError,
            match=r"not withdrawn: 'w.080'.* and 15 more.*s3:ListBucket.*; withdrawn: 'w.000'.* 75 more",
        ) as caught:
            await store.withdraw(names)
        assert isinstance(caught.value.__cause__, AccessDeniedError)
        fault_proxy.rule = None
        assert await store.list_done() == names[80:]


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
    monkeypatch.setattr("asyncsteps.store._s3.delete.BATCH", 2)
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
