"""A fast parser for listing pages, which reads keys and skips dates, sizes and ETags.

botocore's parser spends over 50 ms on a page of 1,000 keys, mostly on fields that a listing of names does not
need, and its handlers parse every successful reply a second time. The handler of this module runs before both. It
extracts the keys with a compiled regular expression, and leaves a body of a few bytes to parse. A page that is not
exactly as expected is left to botocore: better slow than wrong.
"""

import contextlib
import re
from binascii import a2b_qp
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from contextvars import ContextVar
from typing import Any, overload
from urllib.parse import unquote_to_bytes

# The wildcard form runs ahead of the handlers on `before-parse.s3.*`, which parse the body a second time.
_EVENT = "before-parse.*.ListObjectsV2"
_UNIQUE_ID = "asyncsteps-fast-page-parser"

_NOTHING_LEFT = b"<ListBucketResult></ListBucketResult>"

# What is left of a page without its objects: elements of text alone, and common prefixes. No comment, CDATA
# section, processing instruction or attribute, which could make an element of what is none, or the reverse.
_FRAME = re.compile(
    rb"""\s*+(?:<\?xml(?:\s+version=["']1\.0["']|\s+encoding=["'](?i:utf-8)["'])*+\s*+\?>\s*+)?"""
    rb"""<ListBucketResult(?:\s++xmlns(?::\w+)?=(?:"[^"<&]*"|'[^'<&]*'))*+\s*+>"""
    rb"""(?:\s++|<(?!Contents|CommonPrefixes)(\w++)(?:>[^<]*+</\1>|\s*+/>)|<CommonPrefixes>\s*+<Prefix>[^<]++</Prefix>\s*+</CommonPrefixes>)*+"""
    rb"""</ListBucketResult>\s*+"""
)
_END = b"</Contents>"
_FIRST_KEY = re.compile(rb"<Contents>\s*<Key>([^<]+)</Key>")
_KEY = re.compile(rb"</Contents>\s*<Contents>\s*<Key>([^<]+)</Key>")
_KEY_WITHOUT_SPACES = re.compile(rb"</Contents><Contents><Key>([^<]+)</Key>")  # a fifth faster
_COMMON_PREFIX = re.compile(rb"<CommonPrefixes>\s*<Prefix>([^<]+)</Prefix>\s*</CommonPrefixes>")
# Elements that occur once in a page; their order, and where the lists stand between them, differ by server.
_SINGLES = (b"KeyCount", b"IsTruncated", b"NextContinuationToken", b"EncodingType")
_SINGLE = re.compile(rb"<(%b)>([^<]*)</\1>" % b"|".join(_SINGLES))
_ENTITY = re.compile(rb"&(?:(lt|gt|amp|quot|apos)|#([0-9]{1,7})|#x([0-9A-Fa-f]{1,6}));|&")
_NAMED = {b"lt": b"<", b"gt": b">", b"amp": b"&", b"quot": b'"', b"apos": b"'"}
# Characters that XML parsers refuse or change.
_CONTROL = bytes(range(0x20))
_SEPARATOR = b"\x00"

_fast: ContextVar[bool] = ContextVar("asyncsteps_fast_pages", default=False)


class _Objects(Sequence[dict[str, str]]):
    """A page's objects, created on access: a thousand dicts would burden the garbage collector."""

    __slots__ = ("keys",)

    def __init__(self, keys: list[str]) -> None:
        self.keys = keys

    def __len__(self) -> int:
        return len(self.keys)

    @overload
    def __getitem__(self, at: int) -> dict[str, str]: ...
    @overload
    def __getitem__(self, at: slice) -> "_Objects": ...
    def __getitem__(self, at: int | slice) -> "dict[str, str] | _Objects":
        return _Objects(self.keys[at]) if isinstance(at, slice) else {"Key": self.keys[at]}

    def __iter__(self) -> Iterator[dict[str, str]]:
        return ({"Key": key} for key in self.keys)


def keys_of(contents: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the keys of a page's ``Contents``, whichever parser read it."""
    if isinstance(contents, _Objects):
        return contents.keys
    return [entry["Key"] for entry in contents]


class UnexpectedReplyError(Exception):
    """The page is left to botocore's parser."""


@contextlib.contextmanager
def fast_pages() -> Iterator[None]:
    """Use the fast parser inside the block, also for clients installed with ``own=False``."""
    reset = _fast.set(True)
    try:
        yield
    finally:
        _fast.reset(reset)


def install(client: Any, *, own: bool = True) -> None:
    """Parse the pages of a client's ``list_objects_v2`` with the fast parser.

    Responses then hold ``Contents`` (with ``Key`` alone), ``CommonPrefixes``, ``IsTruncated``, ``KeyCount`` and
    ``NextContinuationToken``, all decoded. Installing twice has no further effect.

    Args:
        client: An S3 client of botocore or aiobotocore.
        own: Whether nobody else uses the client. Otherwise the parser is used only inside `fast_pages`, since
            others may need sizes and dates.
    """
    client.meta.events.register(_EVENT, _parse_fast if own else _parse_fast_inside, unique_id=_UNIQUE_ID)


def _parse_fast_inside(**kwargs: Any) -> None:
    if _fast.get():
        _parse_fast(**kwargs)


def _parse_fast(
    *, response_dict: MutableMapping[str, Any], customized_response_dict: MutableMapping[str, Any], **_: Any
) -> None:
    """Handle ``before-parse``; botocore adds ``customized_response_dict`` to the parsed response."""
    body = response_dict["body"]
    if response_dict["status_code"] != 200 or not isinstance(body, bytes):  # noqa: PLR2004 - HTTP's OK
        return
    try:
        page = parse_page(body)
    except (UnexpectedReplyError, UnicodeError):
        return
    customized_response_dict.update(page)
    response_dict["body"] = _NOTHING_LEFT


def parse_page(body: bytes) -> dict[str, Any]:
    """Return a page as botocore would after decoding, without the fields that no listing of names needs."""
    first, last = body.find(b"<Contents>"), body.rfind(_END) + len(_END)
    frame = body if first < 0 else body[:first] + body[last:]
    if not _FRAME.fullmatch(frame):
        raise UnexpectedReplyError
    raw_keys = [] if first < 0 else _raw_keys(body, first, last)
    raw_prefixes: list[bytes] = _COMMON_PREFIX.findall(frame)
    single = _single(frame)
    count = len(raw_keys) + len(raw_prefixes)
    if single.get(b"KeyCount") != b"%d" % count or single.get(b"EncodingType", b"url") != b"url":
        raise UnexpectedReplyError
    url_encoded = b"EncodingType" in single
    page: dict[str, Any] = {"KeyCount": count, "IsTruncated": single.get(b"IsTruncated") == b"true"}
    if page["IsTruncated"]:
        token = single.get(b"NextContinuationToken")
        if not token:
            raise UnexpectedReplyError
        page["NextContinuationToken"] = _unescaped(token).decode()
    elif single.get(b"IsTruncated") != b"false":
        raise UnexpectedReplyError
    if raw_keys:
        page["Contents"] = _Objects(_decoded(raw_keys, url_encoded=url_encoded))
    if raw_prefixes:
        page["CommonPrefixes"] = [{"Prefix": prefix} for prefix in _decoded(raw_prefixes, url_encoded=url_encoded)]
    return page


def _raw_keys(body: bytes, first: int, last: int) -> list[bytes]:
    """Find the keys of objects that follow one another, each of which begins with its one key.

    Nothing is copied: for a body of this size the system makes and takes back memory each time.
    """
    first_key = _FIRST_KEY.match(body, first)
    if first_key is None:
        raise UnexpectedReplyError
    tags = body.count(b"Contents>", first, last)
    keys: list[bytes] = [first_key[1], *_KEY_WITHOUT_SPACES.findall(body, first, last)]
    if tags != 2 * len(keys):
        keys = [first_key[1], *_KEY.findall(body, first, last)]
    if (
        tags != 2 * len(keys)
        or not _have_all_key_tags(keys, body, first, last)
        or (body.find(b"!", first, last) >= 0 and body.find(b"<!", first, last) >= 0)
        or (body.find(b"?", first, last) >= 0 and body.find(b"<?", first, last) >= 0)
    ):
        raise UnexpectedReplyError
    return keys


def _have_all_key_tags(keys: list[bytes], body: bytes, first: int, last: int) -> bool:
    """Whether no other key begins in the objects, by the letter K if there is none beside tags and keys."""
    if body.count(b"K", first, last) == 2 * len(keys) + b"".join(keys).count(b"K"):
        return True  # counting a letter is twice as fast
    return body.count(b"<Key", first, last) == len(keys)


def _single(frame: bytes) -> Mapping[bytes, bytes]:
    """Find the elements that occur at most once; written with an attribute they would not be found."""
    found: list[tuple[bytes, bytes]] = _SINGLE.findall(frame)
    single = dict(found)
    if len(single) != len(found) or any(frame.count(b"<%b" % name) != (name in single) for name in _SINGLES):
        raise UnexpectedReplyError
    return single


def _decoded(raw: list[bytes], *, url_encoded: bool) -> list[str]:
    """Decode the texts of elements: first XML's escapes, which are the outer ones, then those of URLs."""
    joined = b"".join(raw)
    if len(joined.translate(None, _CONTROL)) != len(joined):
        raise UnexpectedReplyError
    joined = _SEPARATOR.join(raw)
    if b"&" in joined:
        joined = _unescaped(joined)
    if url_encoded:
        # A plus stands for a space, as botocore has it.
        joined = joined.replace(b"+", b" ")
        if b"%" in joined:
            if b"%00" in joined:
                return [unquote_to_bytes(text).decode() for text in joined.split(_SEPARATOR)]
            joined = _unquoted(joined)
    return joined.decode().split("\x00")


def _unquoted(text: bytes) -> bytes:
    """Decode the escapes of URLs.

    Quoted-printable differs only in its sign, and its decoder is in C: names beyond ASCII would otherwise cost
    milliseconds a page.
    """
    if b"\n" not in text and b"\r" not in text:  # with them a sign would be a soft line break
        decoded = a2b_qp(text.replace(b"=", b"=3D").replace(b"%", b"="))
        if len(decoded) == len(text) - 2 * text.count(b"%"):
            return decoded
    return unquote_to_bytes(text)  # not every sign begins an escape


def _unescaped(text: bytes) -> bytes:
    """Decode XML's escapes."""
    return _ENTITY.sub(_character, text)


def _character(entity: re.Match[bytes]) -> bytes:
    named, decimal, hexadecimal = entity.groups()
    if named:
        return _NAMED[named]
    if not decimal and not hexadecimal:
        raise UnexpectedReplyError
    number = int(decimal) if decimal else int(hexadecimal, 16)
    if not 0 < number <= 0x10FFFF:  # noqa: PLR2004 - the last code point
        raise UnexpectedReplyError
    return chr(number).encode()
