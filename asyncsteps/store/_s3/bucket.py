"""Requests to one bucket: limited in number and time, replies checked, errors mapped."""

import contextlib
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from anyio import CancelScope, CapacityLimiter, Event, Lock, current_time
from botocore.exceptions import ClientError

from asyncsteps._aws.clients import new_session
from asyncsteps._aws.codes import UNREACHABLE, error_code, error_status
from asyncsteps._errors import AccessDeniedError, EndpointUnreachableError, StoreClosedError, StoreError
from asyncsteps.store._s3.client import Sent, counted_attempts, observed, open_client, page_timeout
from asyncsteps.store._s3.direct import Direct, learn
from asyncsteps.store._s3.errors import Place, store_error
from asyncsteps.store._s3.options import ClientOptions
from asyncsteps.store._s3.rest_api import OPERATIONS

_ALWAYS_IN_REPLIES = {
    "get_object": "ETag",
    "head_object": "ETag",
    "list_objects_v2": "IsTruncated",
    "put_object": "ETag",
}


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
        self._learns = options.client is None and options.transport is None and options.attempts != 1
        self._stack = contextlib.AsyncExitStack()
        self._making = Lock()
        self._limiter = CapacityLimiter(options.usable_concurrency)
        self._closed = False
        self._bucket_seen = False
        self._in_flight: set[CancelScope] = set()
        self._idle = Event()

    @property
    def concurrency(self) -> int:
        """The most requests at once."""
        return int(self._limiter.total_tokens)

    async def aclose(self) -> None:
        """Cancel the requests in flight, which then raise an error, and close a client of ours."""
        self._closed = True
        with CancelScope(shield=True):
            for scope in self._in_flight:
                scope.cancel()
            if self._in_flight:
                await self._idle.wait()
            await self._stack.aclose()

    def place(self, key: str | None = None, step: str | None = None) -> Place:
        """Return where an error happened, as the arguments that errors take."""
        endpoint = self._options.endpoint_url if self._client is None else str(self._client.meta.endpoint_url)
        return Place(url=self._url, bucket=self.bucket, key=key, endpoint=endpoint, step=step)

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
        async with self._limiter:  # acquired before the request is signed, because signatures expire
            self._in_flight.add(scope := CancelScope())
            seconds = page_timeout(self._options.seconds)
            with counted_attempts() as attempts:
                try:
                    with scope:
                        if not self._closed:
                            client = self._client or await self._make()
                            scope.deadline = current_time() + seconds  # libraries are loaded by now
                            return await self._send(client, operation, params, step)
                except Exception as error:
                    raise store_error(error, operation, place=self.place(key, step), attempts=attempts) from error
                finally:
                    self._in_flight.discard(scope)
                    if self._closed and not self._in_flight:
                        self._idle.set()
        if self._closed:
            raise StoreClosedError("the store was closed before the request was through", **self.place(key, step))
        raise EndpointUnreachableError(
            f"no whole answer to {operation} within {seconds:g} s, after {attempts}: check the network and that "
            "the server is up, or raise the store's timeout",
            **self.place(key, step),
        )

    async def _send(
        self, client: Any, operation: str, params: dict[str, Any], step: str | None, *, body_attempts: int = 3
    ) -> dict[str, Any]:
        reply = await self._exchange(client, operation, params)
        expected = _ALWAYS_IN_REPLIES.get(operation)
        if expected is not None and expected not in reply:
            raise EndpointUnreachableError(
                f"the answer to {operation} has no {expected}, so it is none of S3's: check the endpoint and what "
                "lies before it, such as a proxy or a login page",
                **self.place(params.get("Key"), step),
            )
        if "Body" in reply and not isinstance(reply["Body"], bytes):
            try:
                async with reply["Body"] as stream:
                    reply["Body"] = await stream.read()
            except UNREACHABLE:  # botocore retries a request, but not the reading of a body
                if body_attempts == 1:
                    raise
                return await self._send(client, operation, params, step, body_attempts=body_attempts - 1)
        return reply

    async def _exchange(self, client: Any, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        """Send a request past botocore where that is possible, else through it."""
        if self._direct is not None:
            replied = await self._direct.send(operation, params)
            if replied is not None:
                return replied
        with observed() as sent:
            try:
                reply: dict[str, Any] = await getattr(client, operation)(Bucket=self.bucket, **params)
            except ClientError as error:
                if error_status(error) == HTTPStatus.NOT_FOUND:  # the answer of a bucket that it has reached
                    await self._learn(client, sent, operation, params)
                raise
        await self._learn(client, sent, operation, params)
        return reply

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
        try:
            return await self.call("head_object", key=key, step=step)
        except StoreError as error:
            if error_code(error.__cause__) not in {"404", "NoSuchKey"}:
                raise
        if not self._bucket_seen:
            with contextlib.suppress(AccessDeniedError):  # it exists: a missing one is never denied
                await self.call("head_bucket")
            self._bucket_seen = True
        return None

    async def _make(self) -> Any:
        async with self._making:
            if self._client is None:
                self._session = self._options.session or new_session()
                self._client = await open_client(self._options, self._session, self._stack)
            return self._client
