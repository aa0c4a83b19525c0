"""The S3 store: marks that keep an earlier one, on servers with and without conditional puts."""

import pytest
from s3_store_support import named, s3_store
from servers import Answer, FaultProxy, MotoServer, Request, error_answer

from asyncsteps._errors import StoreError

pytestmark = pytest.mark.usefixtures("no_retry_pauses")


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
