"""A model of S3 over HTTP: any number of keys, any latency, throttling and counters, at little CPU a request.

It answers the requests of step stores (ListObjectsV2 and ListObjects, PutObject with If-None-Match, GetObject,
HeadObject, DeleteObject, DeleteObjects, HeadBucket, GetBucketLocation, CreateBucket) as S3 does, checks no
signature and keeps nothing on disk. tests/bench/test_bench_model.py holds it to moto's replies.
``python -m bench._model_server`` serves on a free port of the loopback interface until its stdin ends.
"""

import asyncio
import time
from collections.abc import Callable
from functools import partial

from bench import _model_xml as xml
from bench._control import Seed, Settings, control_reply, serve_until_stdin_ends
from bench._counters import Counters
from bench._model_bucket import Bucket
from bench._model_http import Request, reply
from bench._model_xml import RequestError

_LAST_MODIFIED = b"Last-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\n"


class ModelServer:
    """The state that all connections share: buckets, settings, counters."""

    def __init__(self) -> None:
        self.buckets: dict[str, Bucket] = {}
        self.settings = Settings()
        self.counters = Counters()
        self._allowance = 0.0
        self._filled_at = time.monotonic()

    def seed(self, seed: Seed) -> None:
        """Replace a bucket with one that holds the seed's keys."""
        self.buckets[seed.bucket] = Bucket(seed.all_keys())

    def throttles(self) -> bool:
        """Count a request against the rate limit; return whether it exceeds it."""
        rate = self.settings.requests_per_second
        if not rate:
            return False
        now = time.monotonic()
        self._allowance = min(rate, self._allowance + (now - self._filled_at) * rate)
        self._filled_at = now
        if self._allowance < 1:
            self.counters.throttled += 1
            return True
        self._allowance -= 1
        return False

    def answer(self, request: Request) -> bytes:
        """Return the complete reply to a request."""
        handlers = _BUCKET_HANDLERS if request.key is None else _OBJECT_HANDLERS
        handler = _throttle if self.throttles() else handlers.get(request.method, _not_known)
        try:
            return handler(self, request)
        except RequestError as error:
            return reply(error.status, b"" if request.method == "HEAD" else error.body())

    def bucket(self, name: str) -> Bucket:
        """Return the bucket with that name."""
        if name not in self.buckets:
            raise RequestError(404, "NoSuchBucket", "The specified bucket does not exist")
        return self.buckets[name]


def _throttle(server: ModelServer, request: Request) -> bytes:
    del server, request
    raise RequestError(503, "SlowDown", "Please reduce your request rate.")


def _not_known(server: ModelServer, request: Request) -> bytes:
    del server
    raise RequestError(501, "NotImplemented", f"the model server does not know {request.method} here")


def _get_bucket(server: ModelServer, request: Request) -> bytes:
    bucket, query = server.bucket(request.name), request.query
    if "location" in query:
        return reply(200, xml.location())
    listing = xml.list_v2 if query.get("list-type") == "2" else xml.list_v1
    return reply(200, listing(request.name, bucket, query))


def _head_bucket(server: ModelServer, request: Request) -> bytes:
    server.bucket(request.name)
    return reply(200, headers=b"x-amz-bucket-region: us-east-1\r\n")


def _put_bucket(server: ModelServer, request: Request) -> bytes:
    server.buckets.setdefault(request.name, Bucket())
    return reply(200, headers=b"Location: /%s\r\n" % request.name.encode())


def _post_bucket(server: ModelServer, request: Request) -> bytes:
    if "delete" not in request.query:
        raise RequestError(501, "NotImplemented", "the model server knows no POST but DeleteObjects")
    return reply(200, xml.delete_objects(server.bucket(request.name), request.body))


def _object(server: ModelServer, request: Request) -> tuple[Bucket, str]:
    assert request.key is not None
    return server.bucket(request.name), request.key


def _get_object(server: ModelServer, request: Request) -> bytes:
    bucket, key = _object(server, request)
    body = bucket.get(key)
    if body is None:
        raise RequestError(404, "NoSuchKey", "The specified key does not exist.")
    headers = b"Content-Type: binary/octet-stream\r\n%sETag: %s\r\nContent-Length: %d\r\n" % (
        _LAST_MODIFIED,
        xml.etag(body).encode(),
        len(body),
    )
    return b"HTTP/1.1 200 OK\r\nServer: model\r\n%s\r\n%s" % (headers, b"" if request.method == "HEAD" else body)


def _put_object(server: ModelServer, request: Request) -> bytes:
    bucket, key = _object(server, request)
    if request.header(b"if-none-match") == b"*" and key in bucket:
        raise RequestError(
            412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold"
        )
    bucket.put(key, request.body)
    return reply(200, headers=b"ETag: %s\r\n" % xml.etag(request.body).encode())


def _delete_object(server: ModelServer, request: Request) -> bytes:
    bucket, key = _object(server, request)
    bucket.delete([key])
    return reply(204)


_Handlers = dict[str, Callable[[ModelServer, Request], bytes]]
_BUCKET_HANDLERS: _Handlers = {
    "GET": _get_bucket,
    "HEAD": _head_bucket,
    "PUT": _put_bucket,
    "POST": _post_bucket,
}
_OBJECT_HANDLERS: _Handlers = {
    "GET": _get_object,
    "HEAD": _get_object,
    "PUT": _put_object,
    "DELETE": _delete_object,
}


class _Connection(asyncio.Protocol):
    """One connection: its requests are answered in turn, each after the latency."""

    def __init__(self, server: ModelServer) -> None:
        self._server = server
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._request: Request | None = None
        self._answering = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._transport = None
        if self._request is not None and not self._answering:  # cut off in the middle of a body
            if not self._request.is_control:
                self._server.counters.end()
            self._request = None

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._advance()

    def _advance(self) -> None:
        if self._answering:
            return
        if self._request is None:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            request = Request(bytes(self._buffer[:end]))
            del self._buffer[: end + 4]
            if request.header(b"transfer-encoding") or request.header(b"x-amz-decoded-content-length"):
                self._refuse("the model server takes no chunked bodies")
                return
            self._request = request
            if not request.is_control:
                self._server.counters.begin(request.operation)
            request.waits = request.waits and not self._buffer
            if request.waits:
                self._later(self._continue)
                return
        if len(self._buffer) >= self._request.length and not self._request.waits:
            self._request.body = bytes(self._buffer[: self._request.length])
            del self._buffer[: self._request.length]
            self._take(self._request)

    def _continue(self) -> None:
        """Let the client send its body, even an empty one, as S3 does."""
        self._write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if self._request is not None:
            self._request.waits = False
            self._advance()

    def _take(self, request: Request) -> None:
        self._answering = True
        if request.is_control:
            status, body = control_reply(self._server, request.target, request.body)
            self._finish(reply(status, body), counted=False)
        else:
            self._later(partial(self._finish, self._server.answer(request), counted=True))

    def _later(self, call: Callable[[], None]) -> None:
        latency = self._server.settings.latency_ms / 1000
        if latency:
            asyncio.get_running_loop().call_later(latency, call)
        else:
            call()

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def _refuse(self, why: str) -> None:
        self._write(reply(501, RequestError(501, "NotImplemented", why).body(), b"Connection: close\r\n"))
        if self._transport is not None:
            self._transport.close()

    def _finish(self, answer: bytes, *, counted: bool) -> None:
        self._write(answer)
        if counted:
            self._server.counters.end()
        self._request, self._answering = None, False
        if self._buffer:
            self._advance()


async def _main() -> None:
    server = ModelServer()
    listener = await asyncio.get_running_loop().create_server(
        lambda: _Connection(server), "127.0.0.1", 0, backlog=1024
    )
    async with listener:
        await serve_until_stdin_ends(listener.sockets[0].getsockname()[1])


if __name__ == "__main__":
    asyncio.run(_main())
