"""Clients of AWS whose replies a test makes up: everything but the network is the real thing."""

import contextlib
import functools
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import aioboto3
from aiobotocore.awsrequest import AioAWSResponse
from aiobotocore.config import AioConfig


@dataclass(frozen=True, slots=True)
class Reply:
    """What the server answers."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class _Raw:
    """The body of a reply, as aiobotocore reads it from aiohttp's response."""

    def __init__(self, body: bytes) -> None:
        self._left = body
        self.content = self
        self.url = "http://stub"

    async def read(self, amount: int = -1) -> bytes:
        size = len(self._left) if amount < 0 else amount
        given, self._left = self._left[:size], self._left[size:]
        return given

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        pass


Replies = Callable[[Any], Reply]
"""Gives the reply to a request of botocore's."""


@functools.cache
def shared_session() -> aioboto3.Session:
    """One session for all: loading botocore's models takes longer than most tests."""
    return aioboto3.Session()


@contextlib.asynccontextmanager
async def stub_client(service: Literal["s3", "swf"], replies: Replies) -> AsyncIterator[Any]:
    """A client of a service that nothing leaves; it tries each request once."""

    def answer(request: Any, **_: Any) -> Any:
        reply = replies(request)
        headers: Any = dict(reply.headers)
        return AioAWSResponse(request.url, reply.status, headers, _Raw(reply.body))

    config = AioConfig(retries={"total_max_attempts": 1})
    async with shared_session().client(service, endpoint_url="http://127.0.0.1:9", config=config) as client:
        client.meta.events.register(f"before-send.{service}", answer)
        yield client
