"""Requests to one bucket: limited in number and time, replies checked, errors mapped."""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Mapping
from http import HTTPStatus
from typing import Any, TypeVar

from anyio import CancelScope, Event, Lock, sleep
from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError

from asyncsteps._aws.clients import new_session
from asyncsteps._aws.codes import UNREACHABLE, error_code, error_status
from asyncsteps._errors import AccessDeniedError, EndpointUnreachableError, StoreClosedError, StoreError
from asyncsteps.store._budget import Attempts, TimeBudget, current_budget, one_budget
from asyncsteps.store._records import check_length
from asyncsteps.store._s3.client import Sent, observed, open_client, watched
from asyncsteps.store._s3.concurrency import AdaptiveLimit, Watch
from asyncsteps.store._s3.direct import Direct, learn
from asyncsteps.store._s3.errors import ErrorContext, NoReplyOfS3Error, check_reply, store_error
from asyncsteps.store._s3.options import ClientOptions
from asyncsteps.store._s3.rest_api import OPERATIONS

_ATTEMPTS_AT_REPLIES = 3
"""How often a request is sent whose answer breaks off or is none of S3's: botocore does not retry those."""

_LONGEST_PAUSE = 0.2
_CONNECTING = 10.0
"""Seconds that loading the libraries and finding credentials may take, however short the timeout is."""

_ANSWERS = {HTTPStatus.NOT_FOUND, HTTPStatus.PRECONDITION_FAILED}
"""What is as quick an answer as success is."""

T = TypeVar("T")

_CHUNK = 2**20
"""The bytes of a body that are read at once, at most."""


class BucketClient:
    """Sends requests to one bucket. The client is created with the first request.

    Args:
        bucket: The bucket's name.
        url: The store's URL, for errors.
        options: How the client is created.
    """

    def __init__(self, bucket: str, *, url: str, options: ClientOptions) -> None:
        self.bucket = bucket
        self._url = url
        self._options = options
        self._client: Any = None
        self._session: Any = None
        self._direct: Direct | None = None
        self._learns = options.client is None and options.transport is None
        self._stack = contextlib.AsyncExitStack()
        self._making = Lock()
        self._limit = AdaptiveLimit(options.usable_concurrency)
        self._closed = False
        self._bucket_seen = False
        self._in_flight: set[asyncio.Timeout] = set()
        self._idle = Event()

    @property
    def concurrency(self) -> int:
        """The most requests at once, now."""
        return self._limit.now

    async def aclose(self) -> None:
        """Cancel the requests in flight, which then raise an error, and close a client of ours."""
        self._closed = True
        with CancelScope(shield=True):
            for timeout in self._in_flight:
                if not timeout.expired():
                    timeout.reschedule(asyncio.get_running_loop().time())
            if self._in_flight:
                await self._idle.wait()
            await self._stack.aclose()

    def context(self, key: str | None = None, step: str | None = None) -> ErrorContext:
        """Return where an error happened, as the arguments that errors take."""
        endpoint = self._options.endpoint_url if self._client is None else str(self._client.meta.endpoint_url)
        return ErrorContext(url=self._url, bucket=self.bucket, key=key, endpoint=endpoint, step=step)

    async def call(
        self, operation: str, *, key: str | None = None, step: str | None = None, **params: Any
    ) -> dict[str, Any]:
        """Send one request and return the parsed reply, with the complete body.

        Args:
            operation: The client's method, such as ``put_object``.
            key: The key, for the request and for errors.
            step: The step's name, for errors.
            params: Further parameters.

        Raises:
            StoreError: A class of `asyncsteps._errors` that tells the cause.
        """
        if key is not None:
            params["Key"] = key
        budget = current_budget() or TimeBudget()
        attempts = budget.attempts if budget.retried else Attempts()
        if not self._limit.turns.take():
            await self._turn(budget)
        budget.begin()  # now, and not before: signatures expire, and what waits for its turn uses up no time
        watch = Watch(self._limit)
        try:
            reply = None if self._closed else await self._send(operation, params, budget, attempts, watch)
            if reply is not None:
                attempts.answered()
                watch.answered(operation)
                return reply
        except Exception as error:
            if isinstance(error, ClientError) and error_status(error) in _ANSWERS:
                watch.answered(operation)
            raise store_error(error, operation, context=self.context(key, step), attempts=attempts) from error
        finally:
            budget.end()
            self._limit.turns.give_back()
        failure, context = attempts.failure, self.context(key, step)
        if self._closed:
            raise StoreClosedError("the store was closed before the request was through", **context)
        if failure is not None:  # the time was over in the pause after it
            raise store_error(failure, operation, context=context, attempts=attempts) from failure
        seconds = min(round(budget.spent, 1), self._options.seconds)
        raise EndpointUnreachableError(
            f"no whole answer to {operation} within {seconds:g} s, after {attempts}: check the "
            "network and that the server is up, or raise the store's timeout",
            **context,
        )

    async def _turn(self, budget: TimeBudget) -> None:
        """Wait for a turn to send."""
        budget.wait()
        try:
            await self._limit.turns.wait()
        finally:
            budget.go_on()

    async def _send(
        self, operation: str, params: dict[str, Any], budget: TimeBudget, attempts: Attempts, watch: Watch
    ) -> dict[str, Any] | None:
        """Send a request past botocore where that is possible, and through it when that brings no reply.

        Returns:
            The reply; None when the time was over, or the store closed, before there was one.
        """
        loop = asyncio.get_running_loop()
        share, client = budget.share(self._options.seconds), self._client
        if client is None:
            client = await self._within(loop.time() + max(share, _CONNECTING), self._make())
            if client is None:
                return None
        now = loop.time()
        deadline = now + share
        direct = self._direct
        if direct is not None and direct.takes(operation, now):
            ends = min(deadline, now + direct.seconds(operation))
            reply = await self._within(ends, direct.send(operation, params, attempts, watch))
            if reply is not None or self._closed or (now := loop.time()) >= deadline:
                return reply
            if now >= ends:
                direct.pause(operation, "no answer")
        with watched(attempts, watch):
            return await self._within(deadline, self._send_by_botocore(client, operation, params, attempts))

    async def _within(self, deadline: float, work: Awaitable[T]) -> T | None:
        """Do ``work``; None when the time is over, or the store closed, before it is done."""
        self._in_flight.add(timeout := asyncio.timeout_at(deadline))
        try:
            async with timeout:
                return await work
        except TimeoutError:
            if not timeout.expired():
                raise
            return None
        finally:
            self._in_flight.discard(timeout)
            if self._closed and not self._in_flight:
                self._idle.set()

    async def _send_by_botocore(
        self, client: Any, operation: str, params: dict[str, Any], attempts: Attempts
    ) -> dict[str, Any]:
        """Send a request, and again when what arrives breaks off or is no answer of S3's."""
        configured = (client.meta.config.retries or {}).get("total_max_attempts", _ATTEMPTS_AT_REPLIES)
        left = min(_ATTEMPTS_AT_REPLIES, configured)
        while True:
            left -= 1
            answered = False
            sent = Sent()
            try:
                with observed(sent):
                    reply: dict[str, Any] = await getattr(client, operation)(Bucket=self.bucket, **params)
                answered = True
                check_reply(operation, reply)
                if "Body" in reply:
                    reply = {**reply, "Body": await _read(reply["Body"], self.context(params.get("Key")))}
            except ClientError as error:
                if error_status(error) == HTTPStatus.NOT_FOUND:  # the answer of a bucket that it has reached
                    await self._learn(client, sent, operation, params)
                raise
            except (ResponseParserError, NoReplyOfS3Error, *UNREACHABLE) as error:
                retried = not answered and isinstance(error, UNREACHABLE)  # by botocore
                if retried or not left:
                    raise
                attempts.failure = error
            else:
                await self._learn(client, sent, operation, params)
                return reply
            await sleep(random.uniform(0, _LONGEST_PAUSE))  # noqa: S311 -- jitter

    async def _learn(self, client: Any, sent: Sent, operation: str, params: Mapping[str, Any]) -> None:
        """Learn from the first answered request whether the next ones can be sent past botocore."""
        if self._learns and operation in OPERATIONS:
            self._learns = False
            self._direct = await learn(client, self._session, sent, params.get("Key"))

    @property
    def transport(self) -> str:
        """What sends small requests: ``direct``, or ``botocore``."""
        return "botocore" if self._direct is None else "direct"

    async def head(self, key: str, step: str) -> dict[str, Any] | None:
        """Return the reply to a HEAD request, or None when there is no such object.

        The reply does not tell a missing key from a missing bucket, so the first miss also looks for the bucket.
        """
        with one_budget() as budget:
            try:
                return await self.call("head_object", key=key, step=step)
            except StoreError as error:
                if error_code(error.__cause__) not in {"404", "NoSuchKey"}:
                    raise
            budget.attempts.answered()  # a miss is no failure
            if not self._bucket_seen:
                with contextlib.suppress(AccessDeniedError):  # it exists: a missing one is never denied
                    await self.call("head_bucket")
                self._bucket_seen = True
            return None

    async def _make(self) -> Any:
        async with self._making:
            if self._client is None:
                if self._options.client is None:
                    self._session = self._options.session or new_session()
                self._client = await open_client(self._options, self._session, self._stack)
            return self._client


async def _read(stream: Any, context: ErrorContext) -> bytes:
    """Read a body to its end.

    Raises:
        RecordError: When it is longer than any record.
    """
    body = bytearray()
    async with stream:
        async for chunk in stream.iter_chunks(_CHUNK):
            body += chunk
            check_length(len(body), **context)
    return bytes(body)
