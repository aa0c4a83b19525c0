"""Small requests of S3's REST API, built from the parameters of botocore's methods, and the answers hoped for."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, NamedTuple, cast

from botocore.exceptions import ClientError

from asyncsteps.store._s3.page_parser import UnexpectedReplyError, parse_page
from asyncsteps.store._s3.sigv4 import canonical_query

_METADATA = "x-amz-meta-"
_HEADERS = {
    "ContentType": "content-type",
    "IfMatch": "if-match",
    "IfNoneMatch": "if-none-match",
    "ServerSideEncryption": "x-amz-server-side-encryption",
}
_QUERY = {
    "ContinuationToken": "continuation-token",
    "Delimiter": "delimiter",
    "Prefix": "prefix",
    "StartAfter": "start-after",
}
_CODE = re.compile(rb"<Code>([A-Za-z0-9.]+)</Code>")

Headers = Mapping[str, str]
"""The headers of an answer; names compare without regard to case."""


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation.

    Attributes:
        name: Its name, as botocore's errors and events tell it.
        method: Its HTTP method.
        reply: Gives the reply as botocore does, from status, headers and body.
        has_body: Whether an answer of success has a body.
    """

    name: str
    method: str
    reply: Callable[[int, Headers, bytes], dict[str, Any]]
    has_body: bool = False


class RestRequest(NamedTuple):
    """A request, unsigned.

    Attributes:
        key: The object's key; None for a request to the bucket.
        query: The query string, encoded and sorted.
        headers: Headers of its own, by names in lower case.
        body: The whole body.
    """

    key: str | None
    query: str
    headers: dict[str, str]
    body: bytes


def build(operation: str, params: Mapping[str, Any]) -> RestRequest | None:
    """Build a request; None when something in it is known to botocore alone.

    Args:
        operation: The client's method, one of `OPERATIONS`.
        params: Its parameters, less ``Bucket``.
    """
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
        elif name in _QUERY and query:
            query[_QUERY[name]] = value
        else:
            return None
    return RestRequest(key, canonical_query(query.items()), headers, body)


def _put(status: int, headers: Headers, body: bytes) -> dict[str, Any]:
    if status == HTTPStatus.OK and "ETag" in headers and not body:
        return {"ETag": headers["ETag"]}
    raise _expected_error("PutObject", status, body, {HTTPStatus.PRECONDITION_FAILED: b"PreconditionFailed"})


def _head(status: int, headers: Headers, _: bytes) -> dict[str, Any]:
    if status == HTTPStatus.OK and "ETag" in headers:
        return _described(headers)
    if status == HTTPStatus.NOT_FOUND:  # the answer to HEAD has no body, hence no code
        raise _client_error("HeadObject", status, "404", "Not Found")
    raise UnexpectedReplyError


def _get(status: int, headers: Headers, body: bytes) -> dict[str, Any]:
    if status == HTTPStatus.OK and "ETag" in headers:
        times = {name: headers[name] for name in ("date", "last-modified") if name in headers}
        return {**_described(headers), "ResponseMetadata": {"HTTPHeaders": times}, "Body": body}
    raise _expected_error("GetObject", status, body, {HTTPStatus.NOT_FOUND: b"NoSuchKey"})


def _delete(status: int, _: Headers, body: bytes) -> dict[str, Any]:
    if status == HTTPStatus.NO_CONTENT and not body:
        return {}
    raise UnexpectedReplyError


def _list(status: int, _: Headers, body: bytes) -> dict[str, Any]:
    if status == HTTPStatus.OK:
        return parse_page(body)
    raise UnexpectedReplyError


OPERATIONS = {
    "delete_object": Operation("DeleteObject", "DELETE", _delete),
    "get_object": Operation("GetObject", "GET", _get, has_body=True),
    "head_object": Operation("HeadObject", "HEAD", _head),
    "list_objects_v2": Operation("ListObjectsV2", "GET", _list, has_body=True),
    "put_object": Operation("PutObject", "PUT", _put),
}
"""The operations, by botocore's method."""


def _described(headers: Headers) -> dict[str, Any]:
    names = [name for name in headers if name.lower().startswith(_METADATA)]
    return {
        "ETag": headers["ETag"],
        "Metadata": {name[len(_METADATA) :].lower(): headers[name] for name in names},
    }


def _expected_error(operation: str, status: int, body: bytes, codes: Mapping[int, bytes]) -> Exception:
    """The error of an answer whose status and body say one of ``codes``, else that it is unexpected."""
    found = _CODE.search(body)
    if found is None or found[1] != codes.get(status):
        return UnexpectedReplyError()
    return _client_error(operation, status, found[1].decode(), "")


def _client_error(operation: str, status: int, code: str, message: str) -> ClientError:
    reply = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": int(status)}}
    return ClientError(cast("Any", reply), operation)
