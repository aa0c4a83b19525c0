"""Sends small requests to S3 past botocore, which spends most of a mark's CPU time on building its request.

Botocore stays in charge of what it is good at: sessions, credentials and their refresh, regions, endpoint rules,
redirects, TLS, proxies, retries, errors. The first request that S3 answers through it tells where the bucket is
and how requests are signed. From then on they are signed here, and sent by the HTTP session of the same client.
Only an answer that is exactly what was hoped for is taken. After any other, and after a fault of the network,
botocore sends the request as if nothing had been sent before.

So a request may be sent twice, as by botocore's own retries. None of them minds: a put stores the same bytes, and
a conditional put that finds its own object recognises it by its metadata, see `conditional_put`.
"""

import asyncio
import logging
import math
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from aiohttp import ClientResponse, ClientSession, ClientTimeout
from yarl import URL

from asyncsteps._aws.codes import UNREACHABLE
from asyncsteps.store._budget import Attempts
from asyncsteps.store._records import MAX_RECORD_BYTES
from asyncsteps.store._s3.client import Sent
from asyncsteps.store._s3.concurrency import Watch
from asyncsteps.store._s3.http_session import session_without_redirects
from asyncsteps.store._s3.page_parser import UnexpectedReplyError
from asyncsteps.store._s3.rest_api import OPERATIONS, build
from asyncsteps.store._s3.sigv4 import ALGORITHM, SERVICE, quoted, sign, timestamp_of

logger = logging.getLogger("asyncsteps.store")

_KNOWN_HEADERS = re.compile(
    "accept|accept-encoding|amz-sdk-invocation-id|amz-sdk-request|authorization|content-length|content-type|expect|"
    "host|if-match|if-none-match|user-agent|x-amz-content-sha256|x-amz-date|x-amz-meta-asyncsteps-mark|"
    "x-amz-security-token|x-amz-server-side-encryption|x-amzn-trace-id"
)
"""What this package and botocore send of themselves. Anything else is a caller's wish, for botocore to fulfil."""

_CREDENTIAL = re.compile(
    rf"{ALGORITHM} Credential=(?P<key>[^/]+)/\d{{8}}/(?P<region>[^/*]+)/{SERVICE}/aws4_request, SignedHeaders="
)
_SHA256 = re.compile("[0-9a-f]{64}")

_EVENTS = (
    "provide-client-params",
    "before-parameter-build",
    "before-endpoint-resolution",
    "before-call",
    "request-created",
    "choose-signer",
    "before-sign",
    "before-send",
    "response-received",
    "before-parse",
    "after-call",
    "after-call-error",
    "needs-retry",
)
_KNOWN_HANDLERS = ("aioboto3.", "aiobotocore.", "asyncsteps.", "boto3.", "botocore.")

_THROTTLED = {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}

_PAUSE = 1.0
"""Seconds for which all is left to botocore after an unexpected answer: a server in trouble is not asked twice."""


class Direct:
    """Signs and sends requests to one bucket.

    Args:
        http: A session of aiohttp.
        url: The bucket's URL, without a slash at its end.
        region: The region that signatures are for.
        credentials: Gives the frozen credentials, anew before each request.
        user_agent: What botocore says of itself.
        proxy: The arguments with which aiohttp sends through a proxy.
    """

    def __init__(
        self,
        http: ClientSession,
        *,
        url: str,
        region: str,
        credentials: Any,
        user_agent: str,
        proxy: Mapping[str, Any],
    ) -> None:
        parts = urlsplit(url)
        self._http = http
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self._root = URL(self._origin, encoded=True)
        self._path = parts.path
        self._host = parts.netloc
        self._region = region
        self._credentials = credentials
        self._unsigned = {"accept-encoding": "identity", "user-agent": user_agent}
        self._with_body = {**proxy, "allow_redirects": False}
        # The answer is there as soon as it begins, which the caller's deadline bounds without a timer of its own.
        self._without_body = {**self._with_body, "timeout": ClientTimeout(sock_connect=http.timeout.sock_connect)}
        self._answers_within = http.timeout.sock_read or math.inf
        self._paused_until = 0.0
        self._second, self._stamp = 0, ""

    def seconds(self, operation: str) -> float:
        """How long a request may take here before it is left to botocore."""
        return math.inf if OPERATIONS[operation].has_body else self._answers_within

    def takes(self, operation: str, now: float) -> bool:
        """Whether requests of this kind are sent here, at this time of the event loop."""
        return now >= self._paused_until and operation in OPERATIONS

    def pause(self, operation: str, why: object) -> None:
        """Leave all to botocore for a while."""
        logger.debug("%s goes through botocore: %s", operation, why)
        self._paused_until = asyncio.get_running_loop().time() + _PAUSE

    def _timestamp(self) -> str:
        """The time of a signature, formatted once a second."""
        second = int(time.time())
        if second != self._second:
            self._second, self._stamp = second, timestamp_of(datetime.fromtimestamp(second, UTC))
        return self._stamp

    async def send(
        self, operation: str, params: Mapping[str, Any], attempts: Attempts, watch: Watch
    ) -> dict[str, Any] | None:
        """Send a request, and return the reply as botocore gives it, the body complete.

        Args:
            operation: The client's method, such as ``put_object``.
            params: Its parameters, less ``Bucket``.
            attempts: Where the attempt is counted.
            watch: Where it is watched.

        Returns:
            The reply; None when botocore is to send it.

        Raises:
            ClientError: When there is no such object, or the condition of a put is not met.
        """
        request = build(operation, params)
        if request is None:
            return None
        kind = OPERATIONS[operation]
        path = self._path or "/" if request.key is None else f"{self._path}/{quoted(request.key, safe='/')}"
        headers = sign(
            kind.method,
            path,
            request.query,
            {"host": self._host, **request.headers},
            request.body,
            region=self._region,
            credentials=await self._credentials.get_frozen_credentials(),
            timestamp=self._timestamp(),
        )
        headers.update(self._unsigned)
        if request.query:
            url = URL(f"{self._origin}{path}?{request.query}", encoded=True)
        else:
            url = self._root.with_path(path, encoded=True)  # a quarter of the time
        attempts.made += 1
        attempts.failure = None
        watch.begins()
        how = self._with_body if kind.has_body else self._without_body
        try:
            async with self._http.request(
                kind.method, url, headers=headers, data=request.body or None, **how
            ) as response:
                body = b"" if response.content.at_eof() else await _read(response)
                if response.status in _THROTTLED:
                    watch.throttled()
                return kind.reply(response.status, response.headers, body)
        except (*UNREACHABLE, UnexpectedReplyError, UnicodeError) as error:
            self.pause(operation, type(error).__name__)
            return None


async def learn(client: Any, session: Any, sent: Sent, key: str | None) -> Direct | None:
    """Learn from a request that S3 has answered; None when requests are to stay with botocore.

    They stay under any signature but Signature Version 4 with credentials, and where anything shows that a caller
    has changed what botocore sends.

    Args:
        client: The client.
        session: The session that it was made from.
        sent: What it sent.
        key: The key of the request, if it has one.
    """
    request = sent.request
    http = getattr(getattr(client, "_endpoint", None), "http_session", None)
    proxies = getattr(http, "_proxy_config", None)
    if request is None or http is None or type(http) is not session_without_redirects() or proxies is None:
        return None
    if has_custom_handlers(client) or (client.meta.config.retries or {}).get("total_max_attempts") == 1:
        return None
    headers = {name.lower(): _text(value) for name, value in request.headers.items()}
    scope = _CREDENTIAL.match(headers.get("authorization", ""))
    url, _, _ = request.url.partition("?")
    suffix = f"/{quoted(key, safe='/')}" if key is not None else ""
    if (
        scope is None
        or not all(map(_KNOWN_HEADERS.fullmatch, headers))
        or not _SHA256.fullmatch(headers.get("x-amz-content-sha256", ""))
        or client.meta.config.request_checksum_calculation != "when_required"
        or not url.endswith(suffix)
    ):
        return None
    credentials = await session.get_credentials()
    if credentials is None or scope["key"] != (await credentials.get_frozen_credentials()).access_key:
        return None
    proxy = proxies.proxy_url_for(request.url)
    return Direct(
        await http.lean_session(proxy),
        url=url.removesuffix(suffix).rstrip("/"),
        region=scope["region"],
        credentials=credentials,
        user_agent=headers.get("user-agent", ""),
        proxy={"proxy": proxy, "proxy_headers": proxies.proxy_headers_for(request.url)} if proxy else {},
    )


async def _read(response: ClientResponse) -> bytes:
    """Read a body to its end.

    Raises:
        UnexpectedReplyError: When it is longer than any record.
    """
    chunks, length = [], 0
    async for chunk in response.content.iter_any():
        chunks.append(chunk)
        length += len(chunk)
        if length > MAX_RECORD_BYTES:
            raise UnexpectedReplyError
    return b"".join(chunks)


def has_custom_handlers(client: Any) -> bool:
    """Whether others than botocore and this package handle events of the client's requests, or that is unknown."""
    handlers = getattr(getattr(client.meta.events, "_emitter", None), "_handlers", None)
    if handlers is None or not hasattr(handlers, "prefix_search"):
        return True
    return not all(
        f"{getattr(handler, '__module__', None)}.".startswith(_KNOWN_HANDLERS)
        for event in _EVENTS
        for operation in OPERATIONS.values()
        for handler in handlers.prefix_search(f"{event}.s3.{operation.name}")
    )


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
