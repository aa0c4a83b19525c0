"""Signs requests to S3 with Signature Version 4.

The rules are Amazon's, "Authenticating Requests (AWS Signature Version 4)" in the API reference of S3: the path is
signed as it is sent, never normalised, and every request has the hash of its body. The key that signs changes with
the day, so that one derivation serves all requests of a day; botocore derives it for each request.
"""

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Protocol
from urllib.parse import quote

ALGORITHM = "AWS4-HMAC-SHA256"
SERVICE = "s3"
_EMPTY = hashlib.sha256(b"").hexdigest()


class Credentials(Protocol):
    """Frozen credentials, as botocore gives them."""

    @property
    def access_key(self) -> str:
        """The access key's id."""
        ...

    @property
    def secret_key(self) -> str:
        """The secret access key."""
        ...

    @property
    def token(self) -> str | None:
        """The session token of temporary credentials, or None."""
        ...


def quoted(text: str, *, safe: str = "") -> str:
    """Percent-encode ``text`` as Signature Version 4 demands: all but ``A-Za-z0-9-_.~`` and ``safe``."""
    return quote(text, safe=f"{safe}~")


def canonical_query(params: Iterable[tuple[str, str]]) -> str:
    """Return the query string of a request, in the order and encoding that is signed, and sent.

    Args:
        params: Names and values, each name once.
    """
    return "&".join(f"{name}={value}" for name, value in sorted((quoted(n), quoted(v)) for n, v in params))


def timestamp_of(now: datetime) -> str:
    """Return a time, in UTC, as it is signed: to the second."""
    return now.strftime("%Y%m%dT%H%M%SZ")


def sign(
    method: str,
    path: str,
    query: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    region: str,
    credentials: Credentials,
    timestamp: str,
) -> dict[str, str]:
    """Return the headers of a signed request: those given, and the ones that authenticate them.

    Args:
        method: ``GET``, ``PUT``, …
        path: The path, percent-encoded, as it is sent.
        query: The query string, as `canonical_query` gives it and as it is sent.
        headers: The headers to sign, by names in lower case, ``host`` among them; their values are stripped, and
            hold no two spaces in a row.
        body: The whole body.
        region: The region that the signature is for.
        credentials: Who signs.
        timestamp: The time, as `timestamp_of` gives it.
    """
    day = timestamp[:8]
    digest = hashlib.sha256(body).hexdigest() if body else _EMPTY
    signed = {**headers, "x-amz-content-sha256": digest, "x-amz-date": timestamp}
    if credentials.token:
        signed["x-amz-security-token"] = credentials.token
    names = sorted(signed)
    listed = ";".join(names)
    lines = "".join([f"{name}:{signed[name]}\n" for name in names])
    request = f"{method}\n{path}\n{query}\n{lines}\n{listed}\n{digest}"
    scope = f"{day}/{region}/{SERVICE}/aws4_request"
    to_sign = f"{ALGORITHM}\n{timestamp}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    signer = _signing_key(credentials.secret_key, day, region).copy()
    signer.update(to_sign.encode())
    signature = signer.hexdigest()
    signed["authorization"] = (
        f"{ALGORITHM} Credential={credentials.access_key}/{scope}, SignedHeaders={listed}, Signature={signature}"
    )
    return signed


@lru_cache(maxsize=16)
def _signing_key(secret: str, day: str, region: str) -> hmac.HMAC:
    """The key of a day as an HMAC, to be copied: what the key costs, which is most of it, is done once."""
    key = f"AWS4{secret}".encode()
    for part in (day, region, SERVICE, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.new(key, digestmod="sha256")
