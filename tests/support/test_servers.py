"""What the tests' own servers promise: requests recorded, replies passed on whole, faults as ordered."""

import asyncio
import http.client
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from servers import Answer, Cut, Drip, FaultProxy, Hold, MotoServer, slow_down


def exchange(endpoint: str, *requests: tuple[str, str]) -> list[tuple[int, bytes]]:
    """Send the requests over one connection."""
    connection = http.client.HTTPConnection(urlsplit(endpoint).netloc, timeout=30)
    answers = []
    try:
        for method, target in requests:
            connection.request(method, target, headers={"Authorization": "AWS4 Credential=a/b/us-east-1/s3/c"})
            response = connection.getresponse()
            answers.append((response.status, response.read()))
    finally:
        connection.close()
    return answers


async def test_the_proxy_passes_replies_on_and_keeps_the_connection(
    moto_server: MotoServer, bucket: str, fault_proxy: FaultProxy
) -> None:
    moto_server.put(bucket, "a b", b"body")
    requests = (("GET", f"/{bucket}/a%20b"), ("HEAD", f"/{bucket}/a%20b"), ("GET", f"/{bucket}/a%20b"))
    answers = await asyncio.to_thread(exchange, fault_proxy.endpoint, *requests)
    assert answers == [(200, b"body"), (200, b""), (200, b"body")]
    assert [request.path for request in fault_proxy.requests] == [f"/{bucket}/a b"] * 3


async def test_faults_come_as_often_as_ordered(bucket: str, fault_proxy: FaultProxy) -> None:
    fault_proxy.inject(slow_down(), times=2, when=lambda request: request.is_listing)
    listing = ("GET", f"/{bucket}?list-type=2")
    answers = await asyncio.to_thread(exchange, fault_proxy.endpoint, ("HEAD", f"/{bucket}"), *[listing] * 3)
    assert [status for status, _ in answers] == [200, 503, 503, 200]
    assert b"SlowDown" in answers[1][1]


@pytest.mark.parametrize("fault", [Cut(), Cut(after_bytes=0), Cut(after_bytes=300)])
async def test_a_cut_breaks_the_connection(bucket: str, fault_proxy: FaultProxy, fault: Cut) -> None:
    fault_proxy.inject(fault)
    with pytest.raises((OSError, http.client.HTTPException)):
        await asyncio.to_thread(exchange, fault_proxy.endpoint, ("GET", f"/{bucket}?list-type=2"))


async def test_what_is_held_goes_on_when_released(bucket: str, fault_proxy: FaultProxy) -> None:
    release = asyncio.Event()
    fault_proxy.inject(Hold(release))
    answer = asyncio.create_task(asyncio.to_thread(exchange, fault_proxy.endpoint, ("HEAD", f"/{bucket}")))
    one_waits: Callable[[FaultProxy], bool] = lambda proxy: proxy.in_flight == 1  # noqa: E731 -- names its type
    await fault_proxy.wait_for(one_waits)
    assert not answer.done()
    release.set()
    assert await answer == [(200, b"")]
    assert fault_proxy.peak == 1


async def test_what_drips_comes_whole(moto_server: MotoServer, bucket: str, fault_proxy: FaultProxy) -> None:
    moto_server.put(bucket, "a", b"whole")
    fault_proxy.inject(Drip(0))
    assert await asyncio.to_thread(exchange, fault_proxy.endpoint, ("GET", f"/{bucket}/a")) == [(200, b"whole")]


async def test_an_answer_needs_no_server(fault_proxy: FaultProxy) -> None:
    fault_proxy.rule = lambda _: Answer(418, b"teapot", {"X-Kind": "tea"})
    assert await asyncio.to_thread(exchange, fault_proxy.endpoint, ("GET", "/")) == [(418, b"teapot")]


async def test_what_is_forwarded_can_differ(moto_server: MotoServer, bucket: str, fault_proxy: FaultProxy) -> None:
    moto_server.put(bucket, "a")
    fault_proxy.rewrite = lambda target: target.replace("/b", "/a")
    fault_proxy.drop_headers = {"authorization"}
    [(status, _)] = await asyncio.to_thread(exchange, fault_proxy.endpoint, ("GET", f"/{bucket}/b"))
    assert status == 403
    fault_proxy.drop_headers = frozenset()
    assert await asyncio.to_thread(exchange, fault_proxy.endpoint, ("GET", f"/{bucket}/b")) == [(200, b"{}")]
