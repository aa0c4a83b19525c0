"""The model server's replies: S3's XML for listings, deletions and errors. No I/O."""

import re
from collections.abc import Iterable, Mapping
from hashlib import md5
from urllib.parse import quote
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from bench._model_bucket import PAGE_LIMIT, SEEDED_BODY, Bucket, Listing, make_token, read_token

_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'
_SPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
_MODIFIED = "2026-01-01T00:00:00.000Z"
_SAFE = re.compile(r"[A-Za-z0-9_.~/\n-]*")


class RequestError(Exception):
    """A request to answer with an error.

    Attributes:
        status: The HTTP status.
        code: S3's error code.
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code

    def body(self) -> bytes:
        """Return it as S3's XML."""
        text = f"<Error><Code>{self.code}</Code><Message>{escape(str(self))}</Message></Error>"
        return (_HEAD + text).encode()


def etag(body: bytes) -> str:
    """Return an object's ETag, quotes included."""
    return f'"{md5(body, usedforsecurity=False).hexdigest()}"'


def _tail(body: bytes) -> str:
    tag = escape(etag(body), {'"': "&quot;"})
    return (
        f"</Key><LastModified>{_MODIFIED}</LastModified><ETag>{tag}</ETag><Size>{len(body)}</Size>"
        "<StorageClass>STANDARD</StorageClass></Contents>"
    )


_SEEDED_TAIL = _tail(SEEDED_BODY)


def _encoder(query: Mapping[str, str]) -> tuple[str, bool]:
    kind = query.get("encoding-type", "")
    if kind not in {"", "url"}:
        raise RequestError(400, "InvalidArgument", "Invalid Encoding Method specified in Request")
    return (f"<EncodingType>{kind}</EncodingType>" if kind else ""), bool(kind)


def _encode(text: str, url: bool) -> str:
    return quote(text, safe="/") if url else escape(text, {"\r": "&#13;"})


def _contents(bucket: Bucket, keys: Iterable[str], url: bool) -> str:
    """Format the keys of a page, in one join when nothing needs encoding and all objects are alike."""
    keys = list(keys)
    if not keys:
        return ""
    if bucket.all_seeded:
        if not _SAFE.fullmatch("\n".join(keys)):
            keys = [_encode(key, url) for key in keys]
        return f"<Contents><Key>{f'{_SEEDED_TAIL}<Contents><Key>'.join(keys)}{_SEEDED_TAIL}"
    return "".join(f"<Contents><Key>{_encode(key, url)}{_tail(bucket.get(key) or b'')}" for key in keys)


def _max_keys(query: Mapping[str, str]) -> int:
    text = query.get("max-keys", "")
    try:
        limit = int(text) if text else PAGE_LIMIT
    except ValueError:
        limit = -1
    if limit < 0:
        raise RequestError(400, "InvalidArgument", "Provided max-keys not an integer or within integer range")
    return min(limit, PAGE_LIMIT)


def _page_xml(name: str, bucket: Bucket, query: Mapping[str, str], page: Listing, fields: str) -> bytes:
    encoding, url = _encoder(query)
    delimiter = query.get("delimiter", "")
    return "".join(
        (
            f"{_HEAD}<ListBucketResult {_SPACE}><Name>{name}</Name>",
            f"<Prefix>{_encode(query.get('prefix', ''), url)}</Prefix>",
            fields,
            f"<MaxKeys>{_max_keys(query)}</MaxKeys>",
            f"<Delimiter>{_encode(delimiter, url)}</Delimiter>" if delimiter else "",
            encoding,
            f"<IsTruncated>{'false' if page.last is None else 'true'}</IsTruncated>",
            _contents(bucket, page.keys, url),
            *(
                f"<CommonPrefixes><Prefix>{_encode(group, url)}</Prefix></CommonPrefixes>"
                for group in page.prefixes
            ),
            "</ListBucketResult>",
        )
    ).encode()


def list_v2(name: str, bucket: Bucket, query: Mapping[str, str]) -> bytes:
    """Return the reply to ListObjectsV2."""
    token, start_after = query.get("continuation-token"), query.get("start-after", "")
    try:
        after = start_after if token is None else read_token(token)
    except ValueError as error:
        raise RequestError(400, "InvalidArgument", "The continuation token provided is incorrect") from error
    delimiter, limit = query.get("delimiter", ""), _max_keys(query)
    page = bucket.page(query.get("prefix", ""), after=after, delimiter=delimiter, limit=limit)
    _, url = _encoder(query)
    fields = "".join(
        (
            f"<ContinuationToken>{token}</ContinuationToken>" if token is not None else "",
            f"<NextContinuationToken>{make_token(page.last)}</NextContinuationToken>"
            if page.last is not None
            else "",
            f"<StartAfter>{_encode(start_after, url)}</StartAfter>" if start_after and token is None else "",
            f"<KeyCount>{len(page.keys) + len(page.prefixes)}</KeyCount>",
        )
    )
    return _page_xml(name, bucket, query, page, fields)


def list_v1(name: str, bucket: Bucket, query: Mapping[str, str]) -> bytes:
    """Return the reply to ListObjects, which simpleflow's listing uses."""
    marker, delimiter = query.get("marker", ""), query.get("delimiter", "")
    page = bucket.page(query.get("prefix", ""), after=marker, delimiter=delimiter, limit=_max_keys(query))
    _, url = _encoder(query)
    fields = f"<Marker>{_encode(marker, url)}</Marker>"
    if delimiter and page.last is not None:
        fields += f"<NextMarker>{_encode(page.last, url)}</NextMarker>"
    return _page_xml(name, bucket, query, page, fields)


def delete_objects(bucket: Bucket, body: bytes) -> bytes:
    """Delete the objects that the body of DeleteObjects names, and return the reply."""
    try:
        root = ET.fromstring(body)
    except ET.ParseError as error:
        raise RequestError(400, "MalformedXML", "The XML you provided was not well-formed") from error
    keys = [element.text or "" for element in root.iterfind("{*}Object/{*}Key")]
    if not 0 < len(keys) <= PAGE_LIMIT:
        raise RequestError(400, "MalformedXML", f"DeleteObjects takes 1 to 1,000 keys, not {len(keys)}")
    bucket.delete(keys)
    quiet = (root.findtext("{*}Quiet") or "").strip() == "true"
    deleted = "" if quiet else "".join(f"<Deleted><Key>{escape(key)}</Key></Deleted>" for key in keys)
    return f"{_HEAD}<DeleteResult {_SPACE}>{deleted}</DeleteResult>".encode()


def location() -> bytes:
    """Return the reply to GetBucketLocation of a bucket in us-east-1."""
    return f"{_HEAD}<LocationConstraint {_SPACE}/>".encode()
