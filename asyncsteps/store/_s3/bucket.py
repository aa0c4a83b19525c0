"""Requests to one bucket: limited in number and time, replies checked, errors mapped."""

import contextlib
import random
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from anyio import CancelScope, Event, Lock, current_time, sleep
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
        self._in_flight: set[CancelScope] = set()
        self._idle = Event()

    @property
    def concurrency(self) -> int:
        """The most requests at once, now."""
        return self._limit.now

    async def aclose(self) -> None:
        """Cancel the requests in flight, which then raise an error, and close a client of ours."""
        self._closed = True
        with CancelScope(shield=True):
            for scope in self._in_flight:
                scope.cancel()
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
        async with budget.turn(self._limit.limiter):  # before the request is signed, because signatures expire
            self._in_flight.add(scope := CancelScope())
            watch = Watch(self._limit)
            try:
                with scope, watched(attempts, watch):
                    if not self._closed:
                        share = budget.share(self._options.seconds)
                        client = self._client
                        if client is None:
                            scope.deadline = current_time() + max(share, _CONNECTING)
                            client = await self._make()
                        scope.deadline = min(scope.deadline, current_time() + share)
                        reply = await self._send(client, operation, params, attempts)
                        watch.answered(operation)
                        return reply
            except Exception as error:
                if isinstance(error, ClientError) and error_status(error) in _ANSWERS:
                    watch.answered(operation)
                raise store_error(error, operation, context=self.context(key, step), attempts=attempts) from error
            finally:
                self._in_flight.discard(scope)
                if self._closed and not self._in_flight:
                    self._idle.set()
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

    async def _send(
        self, client: Any, operation: str, params: dict[str, Any], attempts: Attempts
    ) -> dict[str, Any]:
        """Send a request past botocore where that is possible, and through it when that brings no reply."""
        replied = None if self._direct is None else await self._direct.send(operation, params)
        if replied is None:
            replied = await self._send_by_botocore(client, operation, params, attempts)
        attempts.answered()
        return replied

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
