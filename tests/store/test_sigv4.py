"""Signature Version 4: Amazon's own examples, and the same as botocore for any request."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from unittest import mock

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from asyncsteps.store._s3.sigv4 import canonical_query, quoted, sign, timestamp_of


@dataclass(frozen=True)
class Keys:
    """Frozen credentials."""

    access_key: str = "AKIAIOSFODNN7EXAMPLE"
    secret_key: str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
    token: str | None = None


THEN = datetime(2013, 5, 24, tzinfo=UTC)
HOST = {"host": "examplebucket.s3.amazonaws.com"}


@pytest.mark.parametrize(
    ("method", "path", "query", "headers", "body", "signature"),
    [
        (
            "GET",
            "/test.txt",
            "",
            {"range": "bytes=0-9"},
            b"",
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        ),
        (
            "PUT",
            "/test%24file.text",
            "",
            {"date": "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY"},
            b"Welcome to Amazon S3.",
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        ),
        (
            "GET",
            "/",
            "lifecycle=",
            {},
            b"",
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
        ),
        (
            "GET",
            "/",
            "max-keys=2&prefix=J",
            {},
            b"",
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        ),
    ],
    ids=["get", "put", "parameter", "list"],
)
def test_the_examples_of_amazon(
    method: str, path: str, query: str, headers: Mapping[str, str], body: bytes, signature: str
) -> None:
    signed = sign(
        method,
        path,
        query,
        {**HOST, **headers},
        body,
        region="us-east-1",
        credentials=Keys(),
        timestamp=timestamp_of(THEN),
    )
    assert signed["authorization"].endswith(f"Signature={signature}")


def signed_by_botocore(
    method: str, url: str, headers: Mapping[str, str], body: bytes, keys: Keys, region: str, now: datetime
) -> dict[str, str]:
    request = AWSRequest(method=method, url=url, headers=dict(headers), data=body)
    auth = S3SigV4Auth(Credentials(keys.access_key, keys.secret_key, keys.token), "s3", region)
    with mock.patch("botocore.auth.get_current_datetime", return_value=now.replace(tzinfo=None)):
        auth.add_auth(request)
    return {name.lower(): str(value) for name, value in request.headers.items()}


ALPHABET = "ab/.-_~ +%*!'()&=?#;:@,$\"<>\\^`{|}[]\x7f\u00e9\u65e5\U0001f600"


@pytest.mark.parametrize("seed", range(8))
def test_any_request_is_signed_as_by_botocore(seed: int) -> None:
    chosen = random.Random(seed)

    def text(most: int) -> str:
        return "".join(chosen.choice(ALPHABET) for _ in range(chosen.randint(0, most)))

    for _ in range(500):
        keys = Keys(f"AK{chosen.random()}", text(40) or "s", chosen.choice([None, "FwoGZXIvYXdzE/token=="]))
        region = chosen.choice(["us-east-1", "eu-central-2", "cn-north-1"])
        now = datetime.fromtimestamp(chosen.randint(0, 4_000_000_000), UTC)
        host = chosen.choice(["b.s3.amazonaws.com", "127.0.0.1:9000", "localhost:80"])
        path = "/" + quoted(text(30), safe="/")
        query = canonical_query(
            {name: text(20) for name in ("list-type", "prefix", "start-after", text(5) or "x")}.items()
        )
        body = text(50).encode()
        own = {"content-type": "application/json", "if-none-match": "*", "x-amz-meta-asyncsteps-mark": "0af"}
        headers = {name: value for name, value in own.items() if chosen.random() < 0.5}
        method = chosen.choice(["GET", "PUT", "HEAD", "DELETE"])
        ours = sign(
            method,
            path,
            query,
            {"host": host, **headers},
            body,
            region=region,
            credentials=keys,
            timestamp=timestamp_of(now),
        )
        url = f"https://{host}{path}" + (f"?{query}" if query else "")
        theirs = signed_by_botocore(method, url, {**headers, "host": host}, body, keys, region, now)
        assert {name: theirs[name] for name in ours} == ours
