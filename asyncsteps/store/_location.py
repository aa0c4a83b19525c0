"""Parses store URLs, and buckets as the hooks give them. Pure: nothing is opened here."""

import os
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from urllib.parse import unquote_to_bytes

from asyncsteps._aws.redaction import has_credential_parameters, redacted, redacted_url
from asyncsteps._errors import StoreURLError
from asyncsteps._plan.names import MAX_KEY_BYTES

_ACCEPTED = (
    "accepted are 'memory:', 'file:///absolute/path', a plain path ('./steps', '/var/steps'; write './a:b' for a "
    "path with a colon), and 's3://bucket/prefix'"
)
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_BUCKET = re.compile(
    r"[A-Za-z0-9._-]{1,255}|arn:[a-z-]+:s3[a-z0-9-]*:[a-z0-9:-]*:accesspoint:[A-Za-z0-9.:-]{1,100}"
)
_HOST = re.compile(r"[A-Za-z0-9._-]+(:[0-9]+)?")


@dataclass(frozen=True, slots=True)
class MemoryLocation:
    """A store in memory."""


@dataclass(frozen=True, slots=True)
class DirectoryLocation:
    """A directory, as an absolute path."""

    path: Path


@dataclass(frozen=True, slots=True)
class S3Location:
    """A bucket and its complete, normalised key prefix."""

    bucket: str
    prefix: str


Location = MemoryLocation | DirectoryLocation | S3Location


def parse_url(url: str | os.PathLike[str]) -> Location:
    """Parse ``memory:``, ``file:///path``, a plain path, or ``s3://bucket/prefix``.

    An S3 prefix is not decoded: ``?``, ``#`` and ``%`` are characters of keys. A file URL is decoded.

    Raises:
        StoreURLError: When ``url`` is none of these.
    """
    if isinstance(url, os.PathLike):
        return _directory(os.fsdecode(url), url)
    if not isinstance(url, str):
        raise StoreURLError(f"a store's URL must be a str or a path, not {type(url).__name__}; {_ACCEPTED}")
    scheme = _SCHEME.match(url)
    if scheme is None:
        return _directory(url, url)
    rest = url[scheme.end() :]
    match scheme.group(1).lower():
        case "memory":
            if rest.strip("/"):
                raise StoreURLError("a memory store has no name: write 'memory:'", url=redacted_url(url))
            return MemoryLocation()
        case "file":
            return _file(rest, url)
        case "s3":
            bucket, _, prefix = rest.removeprefix("//").partition("/")
            shown = redacted_url(url) if _shown(bucket) == bucket else None
            if not rest.startswith("//"):
                raise StoreURLError("an S3 URL is 's3://bucket/prefix'", url=shown)
            return S3Location(check_bucket(bucket, url=shown), normalise_prefix(prefix))
        case other:
            raise StoreURLError(f"no store has the scheme {other!r}; {_ACCEPTED}", url=redacted_url(url))


def _file(rest: str, url: str) -> DirectoryLocation:
    path = re.sub(r"^//(localhost)?(?=/)", "", rest)
    if not path.startswith("/") or path.startswith("//"):
        raise StoreURLError(
            "a file URL names an absolute path of this machine: 'file:///absolute/path'", url=redacted_url(url)
        )
    if "?" in path or "#" in path:
        raise StoreURLError(
            "in a file URL write '?' as %3F and '#' as %23, or give a plain path", url=redacted_url(url)
        )
    return _directory(os.fsdecode(unquote_to_bytes(path.encode(errors="surrogatepass"))), url)


def _directory(path: str, given: object) -> DirectoryLocation:
    check_path(path, given=given)
    return DirectoryLocation(Path(os.path.abspath(path)))  # noqa: PTH100 -- keeps symbolic links as they are


def check_path(path: str, *, given: object) -> None:
    """Check that ``path`` can be that of a directory; errors show ``given``.

    Raises:
        StoreURLError: When it cannot.
    """
    shown = redacted_url(str(given))
    if not path or "\0" in path:
        raise StoreURLError(f"{shown!r} is no path of a directory; {_ACCEPTED}")
    try:
        os.fsencode(path)
    except UnicodeEncodeError as error:  # which itself holds all of the path
        raise StoreURLError(f"{shown!r} is no path that the operating system can have: {error}") from None


def normalise_prefix(prefix: str) -> str:
    """Return ``prefix`` with a slash at its end, unless it is empty or has one; nothing else changes.

    Raises:
        StoreURLError: When it leaves no room for a step name within S3's limits, has characters that XML cannot
            carry, or has credentials in it.
    """
    if not isinstance(prefix, str):
        raise StoreURLError(f"a key prefix must be a str, not {type(prefix).__name__}")
    if any(unicodedata.category(char) in {"Cc", "Cs"} for char in prefix):
        raise StoreURLError(f"the key prefix {prefix!r} has control characters or lone surrogates; leave them out")
    if has_credential_parameters(prefix):
        raise StoreURLError(
            f"the key prefix {redacted(prefix)!r} has credentials in it, which would be in the name of "
            "every key; give them by environment, profile or session"
        )
    normalised = f"{prefix}/" if prefix and not prefix.endswith("/") else prefix
    if len(normalised.encode()) >= MAX_KEY_BYTES:
        raise StoreURLError(
            f"the key prefix {prefix[:60]!r}... leaves no room for a name within the {MAX_KEY_BYTES} bytes of a "
            "key; shorten it"
        )
    return normalised


def check_bucket(bucket: str, *, url: str | None = None) -> str:
    """Return ``bucket`` after checking that it can be a bucket's name (or an access point's ARN).

    Raises:
        StoreURLError: When it cannot.
    """
    if not _BUCKET.fullmatch(bucket):
        raise StoreURLError(
            f"{_shown(bucket)!r} is no bucket: letters, digits, '.', '-' and '_' make a bucket's name, and an S3 "
            "URL is 's3://bucket/prefix'",
            url=url,
        )
    return bucket


def _shown(bucket: str) -> str:
    """Return what is no bucket; only ``***`` where it may be credentials, as in ``KEY:SECRET@bucket``."""
    if "://" in bucket:
        return redacted_url(bucket)
    return "***" if not bucket.startswith("arn:") and re.search("[:@]", bucket) else redacted(bucket)


def split_bucket(bucket: str) -> tuple[str | None, str]:
    """Split ``bucket`` or ``host/bucket`` into the host, None without one, and the bucket's name.

    Raises:
        StoreURLError: When ``bucket`` is neither.
    """
    if not isinstance(bucket, str):
        raise StoreURLError(f"a bucket must be a str, not {type(bucket).__name__}")
    host, slash, name = bucket.rpartition("/")
    if not slash:
        return None, check_bucket(name)
    if not _HOST.fullmatch(host):
        raise StoreURLError(
            f"the bucket {_shown(bucket)!r} is neither a bare name nor 'host/bucket'; where the endpoint is no "
            "AWS host, pass its URL as endpoint_url beside the bare name"
        )
    return host, check_bucket(name)


def is_hidden(place: str) -> bool:
    """Whether a prefix or a path leads through what asyncsteps, or another program, hides."""
    return any(segment.startswith(".") for segment in place.split("/"))


def most_alike(place: str, others: Iterable[str]) -> list[str]:
    """Return the up to three places that are named most like one, without itself and hidden ones."""
    named = [other for other in others if other.rstrip("/") != place.rstrip("/") and not is_hidden(other)]
    return get_close_matches(place, named, n=3, cutoff=0.0)
