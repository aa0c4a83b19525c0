"""The servers of the tests: a moto server in its own process, and a proxy that injects faults."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import parse_qs, unquote, urlsplit

from asyncsteps.testing import MotoServer, run_moto_server
from asyncsteps.testing._moto_server import serving

__all__ = ["MotoServer", "run_moto_server", "serving"]


@dataclass(frozen=True, slots=True)
class Request:
    """A complete request. Header names are in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    head: bytes

    @property
    def path(self) -> str:
        return unquote(urlsplit(self.target).path)

    @property
    def query(self) -> dict[str, str]:
        query = parse_qs(urlsplit(self.target).query, keep_blank_values=True)
        return {name: values[0] for name, values in query.items()}

    @property
    def is_listing(self) -> bool:
        return self.method == "GET" and "list-type" in self.query


@dataclass(frozen=True, slots=True)
class Answer:
    """Fault: the proxy replies itself, and the server never gets the request."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Cut:
    """Fault: the connection breaks before the server gets the request, or after some bytes of its reply."""

    after_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Delay:
    """Fault: the request is forwarded, or answered by ``answer``, after a delay, in seconds."""

    seconds: float
    answer: Answer | None = None


@dataclass(frozen=True, slots=True)
class Hold:
    """Fault: the request, or with ``reply`` the server's reply, is held back until ``release`` is set."""

    release: asyncio.Event
    reply: bool = False


@dataclass(frozen=True, slots=True)
class Drip:
    """Fault: the reply is sent byte by byte, with a pause, in seconds, after each."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Shorten:
    """Fault: the reply comes with half of its body, and a length that agrees."""


Fault = Answer | Cut | Delay | Hold | Drip | Shorten
Rule = Callable[[Request], Fault | None]


def error_answer(status: int, code: str, message: str = "injected", **headers: str) -> Answer:
    """Build an S3 error with its XML body."""
    body = f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>{message}</Message></Error>'
    return Answer(status, body.encode(), {"Content-Type": "application/xml", **headers})


def slow_down() -> Answer:
    """Build S3's reply when it throttles."""
    return error_answer(503, "SlowDown", "Please reduce your request rate.")


class FaultProxy:
    """An HTTP proxy on 127.0.0.1 that records requests and injects faults.

    Attributes:
        requests: Every request so far, in the order in which they were read.
        rule: Called for each request; gives the fault to inject, or None. See also `inject`.
        rewrite: Changes the target of forwarded requests.
        drop_headers: Headers, in lower case, that are not forwarded.
        in_flight: Requests read and not yet answered.
        peak: The most that were in flight at once.
    """

    def __init__(self, target_port: int) -> None:
        self.requests: list[Request] = []
        self.rule: Rule | None = None
        self.rewrite: Callable[[str], str] | None = None
        self.drop_headers: AbstractSet[str] = frozenset()
        self.in_flight = 0
        self.peak = 0
        self._target_port = target_port
        self._server: asyncio.Server | None = None
        self._handlers: set[asyncio.Task[None]] = set()
        self._news = asyncio.Condition()

    @property
    def endpoint(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def inject(self, fault: Fault, *, times: int = 1, when: Callable[[Request], bool] | None = None) -> None:
        """Inject ``fault`` into the next ``times`` requests, or the next for which ``when`` is true."""
        left = times
        before = self.rule

        def rule(request: Request) -> Fault | None:
            nonlocal left
            if left > 0 and (when is None or when(request)):
                left -= 1
                return fault
            return before(request) if before is not None else None

        self.rule = rule

    async def wait_for(self, condition: Callable[[Self], bool]) -> None:
        """Wait until ``condition(self)`` is true; it is checked whenever a request arrives or is answered."""
        async with self._news:
            await self._news.wait_for(lambda: condition(self))

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        assert self._server is not None
        self._server.close()
        for handler in self._handlers:
            handler.cancel()
        await asyncio.gather(*self._handlers, return_exceptions=True)
        await self._server.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handler = asyncio.create_task(self._serve(reader, writer))
        self._handlers.add(handler)
        handler.add_done_callback(self._handlers.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (request := await _read_request(reader, writer)) is not None:
                self.requests.append(request)
                await self._count(1)
                try:
                    await self._answer(request, writer)
                finally:
                    await self._count(-1)
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client, or a fault, broke the connection
        finally:
            writer.transport.abort()

    async def _count(self, change: int) -> None:
        self.in_flight += change
        self.peak = max(self.peak, self.in_flight)
        async with self._news:
            self._news.notify_all()

    async def _answer(self, request: Request, writer: asyncio.StreamWriter) -> None:
        fault = self.rule(request) if self.rule is not None else None
        if fault == Cut():
            raise ConnectionAbortedError
        reply = await self._reply(request, fault)
        if isinstance(fault, Drip):
            for byte in reply:
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(fault.seconds)
            return
        writer.write(reply[: fault.after_bytes] if isinstance(fault, Cut) else reply)
        await writer.drain()
        if isinstance(fault, Cut):
            raise ConnectionAbortedError

    async def _reply(self, request: Request, fault: Fault | None) -> bytes:
        match fault:
            case Answer():
                return _head(fault) + (b"" if request.method == "HEAD" else fault.body)
            case Delay(seconds=seconds, answer=answer):
                await asyncio.sleep(seconds)
                return await self._reply(request, answer)
            case Shorten():
                head, _, body = (await self._forward(request)).partition(b"\r\n\r\n")
                body = body[: len(body) // 2]
                head = re.sub(rb"(?im)^content-length:[^\r\n]*", b"Content-Length: %d" % len(body), head)
                return head + b"\r\n\r\n" + body
            case Hold(release=release, reply=held):
                if not held:
                    await release.wait()
                reply = await self._forward(request)
                await release.wait()
                return reply
        return await self._forward(request)

    def _forwarded_head(self, request: Request) -> bytes:
        first, *lines = request.head.rstrip(b"\r\n").split(b"\r\n")
        if self.rewrite is not None:
            first = f"{request.method} {self.rewrite(request.target)} HTTP/1.1".encode("latin-1")
        dropped = {"connection", "expect", *self.drop_headers}
        kept = [line for line in lines if line.partition(b":")[0].decode("latin-1").lower() not in dropped]
        return b"\r\n".join([first, *kept, b"Connection: close", b"", b""])

    async def _forward(self, request: Request) -> bytes:
        """Forward a request on a new connection; return the reply, fit for a connection that stays open."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._target_port)
        try:
            writer.write(self._forwarded_head(request) + request.body)
            await writer.drain()
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        finally:
            writer.transport.abort()
        head += b"\r\n"
        if re.search(rb"(?im)^(content-length|transfer-encoding):", head) or request.method == "HEAD":
            head = re.sub(rb"(?im)^connection:[^\r\n]*\r\n", b"", head)
        return head + b"\r\n" + body


async def _read_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Request | None:
    """Read the next request with its body; None when the client has closed the connection."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if headers.get("expect", "").lower() == "100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(method, target, headers, body, head)


def _head(answer: Answer) -> bytes:
    lines = [f"HTTP/1.1 {answer.status} Injected", f"Content-Length: {len(answer.body)}"]
    lines += (f"{name}: {value}" for name, value in answer.headers.items())
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


@contextlib.asynccontextmanager
async def run_fault_proxy(endpoint: str) -> AsyncIterator[FaultProxy]:
    """Run a `FaultProxy` in front of ``endpoint`` (``http://127.0.0.1:PORT``)."""
    port = urlsplit(endpoint).port
    assert port is not None
    async with FaultProxy(port) as proxy:
        yield proxy
