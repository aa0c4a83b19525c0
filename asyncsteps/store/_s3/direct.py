"""Sends small requests to S3 past botocore, which spends most of the time of a mark on building its request.

Botocore stays in charge of what it is good at: sessions, credentials and their refresh, regions, endpoint rules,
redirects, TLS, proxies, retries, errors. The first request that it has sent with success tells where the bucket is
and how it is signed; from then on requests like that one are signed here and sent by the HTTP session of the same
client. Only an answer that is exactly what was hoped for is taken. After any other, and after a fault of the
network, the request is sent again by botocore, as if nothing had been sent before. All of these requests may be sent
twice: a put stores the same bytes, and a conditional put tells its own object by its metadata.
"""

import asyncio
import logging
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from aiohttp import ClientResponse, ClientSession
from botocore.exceptions import ClientError
from yarl import URL

from asyncsteps._aws.codes import UNREACHABLE
from asyncsteps.store._s3.client import Sent, count_attempt
from asyncsteps.store._s3.page_parser import UnexpectedReplyError, parse_page
from asyncsteps.store._s3.sigv4 import ALGORITHM, SERVICE, canonical_query, quoted, sign

logger = logging.getLogger("asyncsteps.store")

OPERATIONS = {
    "delete_object": "DELETE",
    "get_object": "GET",
    "head_object": "HEAD",
    "list_objects_v2": "GET",
    "put_object": "PUT",
}
_QUERY = {
    "ContinuationToken": "continuation-token",
    "Delimiter": "delimiter",
    "Prefix": "prefix",
    "StartAfter": "start-after",
}
_HEADERS = {
    "ContentType": "content-type",
    "IfMatch": "if-match",
    "IfNoneMatch": "if-none-match",
    "ServerSideEncryption": "x-amz-server-side-encryption",
}
_METADATA = "x-amz-meta-"

_KNOWN_HEADERS = re.compile(
    "accept|accept-encoding|amz-sdk-invocation-id|amz-sdk-request|authorization|content-length|content-type|expect|"
    "host|if-match|if-none-match|user-agent|x-amz-content-sha256|x-amz-date|x-amz-meta-asyncsteps-mark|"
    "x-amz-security-token|x-amz-server-side-encryption|x-amzn-trace-id",
    re.IGNORECASE,
)
"""What botocore sends of itself. Another header is a caller's wish, which only botocore knows to fulfil."""

_CREDENTIAL = re.compile(
    rf"{ALGORITHM} Credential=(?P<key>[^/]+)/\d{{8}}/(?P<region>[^/*]+)/{SERVICE}/aws4_request, SignedHeaders="
)
_SHA256 = re.compile("[0-9a-f]{64}")
_CODE = re.compile(rb"<Code>([A-Za-z0-9.]+)</Code>")

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

_PAUSE = 1.0
"""Seconds during which all is left to botocore after an unexpected answer, so that a server in trouble is not asked
twice for everything."""


class Direct:
    """Signs and sends requests to one bucket.

    Args:
        http: The HTTP session of the client.
        origin: The scheme and host.
        path: The path of the bucket, without a slash at its end.
        region: The region that signatures are for.
        credentials: Gives the frozen credentials, fresh before each request.
        headers: Sent with each request.
        proxy: The arguments with which aiohttp sends through a proxy.
    """

    def __init__(
        self,
        http: ClientSession,
        *,
        origin: str,
        path: str,
        region: str,
        credentials: Any,
        headers: Mapping[str, str],
        proxy: Mapping[str, Any],
    ) -> None:
        self._http = http
        self._origin = origin
        self._path = path
        self._region = region
        self._credentials = credentials
        self._headers = {"accept-encoding": "identity", **headers}
        self._proxy = dict(proxy)
        self._host = urlsplit(origin).netloc
        self._paused_until = 0.0

    async def send(self, operation: str, params: Mapping[str, Any]) -> dict[str, Any] | None:
        """Send a request, and return the reply as botocore gives it, the body complete.

        Args:
            operation: The client's method, such as ``put_object``.
            params: Its parameters.

        Returns:
            The reply; None when botocore is to send it.

        Raises:
            ClientError: When there is no such object, or the condition of a put is not met.
        """
        built = None if self._is_paused() else _build(operation, params)
        if built is None:
            return None
        key, query, headers, body = built
        path = f"{self._path}/{quoted(key, safe='/')}" if key is not None else self._path or "/"
        headers["host"] = self._host
        try:
            signed = sign(
                OPERATIONS[operation],
                path,
                query,
                headers,
                body,
                region=self._region,
                credentials=await self._credentials.get_frozen_credentials(),
                now=datetime.now(UTC),
            )
            signed.update(self._headers)
            count_attempt()
            async with self._http.request(
                OPERATIONS[operation],
                URL(f"{self._origin}{path}?{query}" if query else self._origin + path, encoded=True),
                headers=signed,
                data=body or None,
                allow_redirects=False,
                **self._proxy,
            ) as response:
                reply = _REPLIES[operation](response, await response.read())
        except ClientError:
            raise
        except (*UNREACHABLE, UnexpectedReplyError, ValueError) as error:
            logger.debug("%s is left to botocore: %s", operation, type(error).__name__)
            self._paused_until = asyncio.get_running_loop().time() + _PAUSE
            return None
        return reply

    def _is_paused(self) -> bool:
        return asyncio.get_running_loop().time() < self._paused_until


def _build(operation: str, params: Mapping[str, Any]) -> tuple[str | None, str, dict[str, str], bytes] | None:
    """Return key, query, headers and body of a request; None when something in it is known to botocore alone."""
    if operation not in OPERATIONS:
        return None
    key, body = None, b""
    query = {"list-type": "2", "encoding-type": "url"} if operation == "list_objects_v2" else {}
    headers: dict[str, str] = {}
    for name, value in params.items():
        if name == "Key":
            key = value
        elif name == "Body":
            body = value
        elif name == "Metadata":
            headers.update((_METADATA + each.lower(), text) for each, text in value.items())
        elif name in _HEADERS:
            headers[_HEADERS[name]] = value
        elif name in _QUERY and operation == "list_objects_v2":
            query[_QUERY[name]] = value
        else:
            return None
    return key, canonical_query(query.items()) if query else "", headers, body


def _put(response: ClientResponse, body: bytes) -> dict[str, Any]:
    if response.status == 200 and "ETag" in response.headers and not body:  # noqa: PLR2004
        return {"ETag": response.headers["ETag"]}
    raise _refusal(response, body, {412: "PreconditionFailed"}, "PutObject")


def _head(response: ClientResponse, _: bytes) -> dict[str, Any]:
    if response.status == 200 and "ETag" in response.headers:  # noqa: PLR2004
        return _described(response)
    if response.status == 404:  # noqa: PLR2004 - a reply to HEAD has no body
        raise _client_error(404, "404", "Not Found", "HeadObject")
    raise UnexpectedReplyError


def _get(response: ClientResponse, body: bytes) -> dict[str, Any]:
    if response.status == 200 and "ETag" in response.headers:  # noqa: PLR2004
        return {**_described(response), "Body": body}
    raise _refusal(response, body, {404: "NoSuchKey"}, "GetObject")


def _delete(response: ClientResponse, body: bytes) -> dict[str, Any]:
    if response.status == 204 and not body:  # noqa: PLR2004
        return {}
    raise UnexpectedReplyError


def _list(response: ClientResponse, body: bytes) -> dict[str, Any]:
    if response.status == 200:  # noqa: PLR2004
        return parse_page(body)
    raise UnexpectedReplyError


_REPLIES = {
    "delete_object": _delete,
    "get_object": _get,
    "head_object": _head,
    "list_objects_v2": _list,
    "put_object": _put,
}


def _described(response: ClientResponse) -> dict[str, Any]:
    metadata = {
        name[len(_METADATA) :].lower(): value
        for name, value in response.headers.items()
        if name.lower().startswith(_METADATA)
    }
    return {"ETag": response.headers["ETag"], "Metadata": metadata}


def _refusal(response: ClientResponse, body: bytes, hoped: Mapping[int, str], operation: str) -> Exception:
    """The error for a status that was reckoned with, if the body says the same."""
    code = hoped.get(response.status)
    found = _CODE.search(body)
    if code is None or found is None or found[1] != code.encode():
        return UnexpectedReplyError()
    return _client_error(response.status, code, "", operation)


def _client_error(status: int, code: str, message: str, operation: str) -> ClientError:
    return ClientError(
        {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[typeddict-item]
        operation,
    )


async def learn(client: Any, session: Any, sent: Sent, key: str | None) -> Direct | None:
    """Learn from a request of botocore's that S3 has answered; None when requests are to stay with botocore.

    They stay with it under another signature than Signature Version 4 with credentials, and where anything shows
    that a caller has changed what botocore sends.

    Args:
        client: The client.
        session: The session that it was made from.
        sent: What it sent.
        key: The key of the request, if it has one.
    """
    request = sent.request
    if request is None or has_custom_handlers(client):
        return None
    headers = {name.lower(): _text(value) for name, value in request.headers.items()}
    scope = _CREDENTIAL.match(headers.get("authorization", ""))
    if (
        scope is None
        or not all(_KNOWN_HEADERS.fullmatch(name) for name in headers)
        or not _SHA256.fullmatch(headers.get("x-amz-content-sha256", ""))
        or client.meta.config.request_checksum_calculation != "when_required"
    ):
        return None
    credentials = await session.get_credentials()
    if credentials is None or scope["key"] != (await credentials.get_frozen_credentials()).access_key:
        return None
    url = urlsplit(request.url)
    path, suffix = url.path, f"/{quoted(key, safe='/')}" if key is not None else ""
    http = getattr(getattr(client, "_endpoint", None), "http_session", None)
    if not path.endswith(suffix) or not hasattr(http, "_get_session") or not hasattr(http, "_proxy_config"):
        return None
    proxy = http._proxy_config.proxy_url_for(request.url)  # noqa: SLF001 - what its send() does
    return Direct(
        await http._get_session(proxy),  # noqa: SLF001
        origin=f"{url.scheme}://{url.netloc}",
        path=path.removesuffix(suffix).rstrip("/"),
        region=scope["region"],
        credentials=credentials,
        headers={"user-agent": headers.get("user-agent", "")},
        proxy={"proxy": proxy, "proxy_headers": http._proxy_config.proxy_headers_for(request.url)}  # noqa: SLF001
        if proxy
        else {},
    )


def has_custom_handlers(client: Any) -> bool:
    """Whether anyone but botocore and this package handles events of the client's requests, or that is unknown."""
    handlers = getattr(getattr(client.meta.events, "_emitter", None), "_handlers", None)
    if not hasattr(handlers, "prefix_search"):
        return True
    events = [f"{event}.s3.{_camel(operation)}" for event in _EVENTS for operation in OPERATIONS]
    return not all(
        f"{getattr(handler, '__module__', None)}.".startswith(_KNOWN_HANDLERS)
        for event in events
        for handler in handlers.prefix_search(event)
    )


def _camel(operation: str) -> str:
    return "".join(part.capitalize() for part in operation.split("_"))


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
