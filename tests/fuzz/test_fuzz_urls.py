"""URLs of stores, buckets and endpoints: opened or refused, without a word of the credentials in them."""

from contextlib import suppress
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

import pytest
from fuzzing import examples, hostile_text, refused, told_by, values
from hypothesis import example, given
from hypothesis import strategies as st

from asyncsteps import DirectoryStore, StoreError, open_store
from asyncsteps._aws.redaction import redacted, redacted_url
from asyncsteps.store import open_bucket
from asyncsteps.store._location import normalise_prefix, parse_url, split_bucket
from asyncsteps.store._s3.aws_hosts import check_aws_host
from asyncsteps.swf import SwfClient
from asyncsteps.swf._client.errors import SwfInputError

NEEDLE = "xPLANTEDx"
"""In every secret, whatever is around it."""

secrets = st.tuples(st.sampled_from(["", "/", "+", "=", ":", "@", "a", "%", "#"]), st.booleans()).map(
    lambda drawn: quote(f"{drawn[0]}{NEEDLE}{drawn[0]}", safe="") if drawn[1] else f"{drawn[0]}{NEEDLE}{drawn[0]}"
)
users = st.sampled_from(["AKIAUSER", "user", "a.b", "", "AKIA%2F", "me+you"])
hosts = st.sampled_from(
    ["bucket", "my.bucket", "localhost:9000", "127.0.0.1:1", "[::1]:9", "s3.amazonaws.com", ""]
)
schemes = st.sampled_from(
    ["s3://", "S3://", "http://", "https://", "HTTPS://", "file://", "ftp://", "s3:", "file:", ""]
)
parameters = st.sampled_from(
    [
        "X-Amz-Security-Token",
        "x-amz-signature",
        "X-Amz-Credential",
        "token",
        "AWSAccessKeyId",
        "Signature",
        "password",
    ]
)


@st.composite
def with_credentials(draw: Any) -> str:
    """A URL with a secret in the place of a user, a password or a parameter of its query."""
    secret, user, host = draw(secrets), draw(users), draw(hosts)
    path = draw(st.sampled_from(["", "/", "/steps", "/a/b@c", "/a:b", "/é", "/%2e%2e/x", "/a b"]))
    form = draw(st.integers(0, 3))
    if form == 0:
        return f"{draw(schemes)}{user or 'u'}:{secret}@{host}{path}"
    if form == 1:
        return f"{draw(schemes.filter(lambda scheme: scheme.endswith('//')))}{secret}@{host}{path}"
    scheme = draw(schemes.filter(lambda scheme: scheme.endswith("//")))
    first = draw(st.sampled_from(["?", "?versionId=1&", "?a&"]))
    parameter = draw(parameters)
    secret = quote(secret, safe="")
    if form == 2:
        return f"{scheme}{host}{path}{first}{parameter}={secret}"
    return f"{scheme}{user or 'u'}:{secret}@{host}{path}{first}{parameter}={secret}"


def check_told(error: Exception | None) -> None:
    told = told_by(error).replace("drawn", "")
    assert NEEDLE.lower() not in _without_source(told).lower()


def _without_source(told: str) -> str:
    """Tracebacks show source lines, of this file too."""
    return told.replace(f'NEEDLE = "{NEEDLE}"', "")


@examples(300)
@given(with_credentials())
@example(f"user:{NEEDLE}@host/steps")
@example(f"file:user:{NEEDLE}@host/steps")
@example(f"s3://AKIA:{NEEDLE}/b+c=@bucket/steps")
@example(f"s3://bucket/steps?a&token={NEEDLE}")
@example(f"s3:///{NEEDLE}/@bucket")
@example(f"file:///?X-Amz-Security-Token={NEEDLE}")
@example(f"s3://bucket?X-Amz-Security-Token={NEEDLE}")
def test_credentials_in_the_url_of_a_store_are_refused_and_never_told(url: str) -> None:
    error = refused(lambda: open_store(url), StoreError)
    if error is None:  # a path of this machine, as which it names no credentials
        assert url.lower().startswith("file:///") or "://" not in url, url
        return
    check_told(error)


@examples(300)
@given(with_credentials())
@example(f"user:{NEEDLE}@host:9000")
@example(f"//user:{NEEDLE}@host:9000")
@example(f"user:{NEEDLE}/b@host:9000")
def test_credentials_in_an_endpoint_are_refused_and_never_told(url: str) -> None:
    for error in (
        refused(lambda: open_store("s3://bucket/steps", endpoint_url=url), StoreError),
        refused(lambda: open_bucket("bucket", "steps", endpoint_url=url), StoreError),
        refused(lambda: SwfClient("domain", endpoint_url=url), SwfInputError),
    ):
        assert error is not None
        check_told(error)


@examples(200)
@given(with_credentials())
def test_credentials_in_the_place_of_a_bucket_a_host_or_a_prefix_are_refused_and_never_told(text: str) -> None:
    check_told(refused(lambda: split_bucket(text), StoreError))
    check_told(refused(lambda: open_bucket(text, "steps"), StoreError))
    check_told(refused(lambda: open_bucket(f"{text}/bucket", "steps"), StoreError))
    if "?" in text:
        check_told(refused(lambda: normalise_prefix(text), StoreError))


@examples(200)
@given(with_credentials(), hostile_text, hostile_text)
def test_redaction_leaves_no_credentials_in_any_text(url: str, before: str, after: str) -> None:
    assert NEEDLE not in redacted_url(url)
    if "://" in url and ":///" not in url and not any(char in url for char in " '\""):
        text = f"{before} {url} {after}"
        assert NEEDLE not in redacted(text)


scheme_or_odd = st.sampled_from(
    ["s3://", "s3:", "file:", "file://", "file:///", "memory:", "", "/", "./", "../", "x:"]
)


@examples(300)
@given(st.tuples(scheme_or_odd, hostile_text).map("".join))
def test_any_text_names_a_store_or_is_refused(url: str) -> None:
    error = refused(lambda: parse_url(url), StoreError)
    assert error is None or str(error)
    if error is None:
        assert repr(open_store(url))


class Named:
    """A path whose name is in bytes, as those of `os.scandir` of bytes are."""

    def __init__(self, path: bytes) -> None:
        self.path = path

    def __fspath__(self) -> bytes:
        return self.path


@examples(150)
@given(hostile_text | hostile_text.map(PurePosixPath) | st.binary(max_size=8).map(Named) | values)
@example("a\0b")
@example("")
@example(f"here/user:{NEEDLE}@host\ud800")
@example(Named(b"/tmp/a\xff"))
async def test_any_path_is_that_of_a_store_or_is_refused(path: Any) -> None:
    stores: list[DirectoryStore] = []
    error = refused(lambda: stores.append(DirectoryStore(path)), StoreError)
    check_told(error)
    for store in stores:
        assert repr(store)
        async with store:
            with suppress(StoreError):
                assert await store.is_done("no.such.step") is False
    if not isinstance(path, str):
        refused(lambda: open_store(path), StoreError)


@examples(200)
@given(hostile_text, hostile_text)
def test_any_text_is_a_bucket_with_a_host_or_is_refused(host: str, bucket: str) -> None:
    refused(lambda: split_bucket(f"{host}/{bucket}"), StoreError)
    refused(lambda: check_aws_host(host, bucket=bucket), StoreError)
    refused(lambda: open_bucket(f"{host}/{bucket}", bucket), StoreError)


@pytest.mark.parametrize("kind", [None, 5, b"s3://b/p", object(), ["s3://b/p"]])
def test_what_is_no_text_is_refused(kind: Any) -> None:
    for call in (
        lambda: open_store(kind),
        lambda: open_bucket(kind, "p"),
        lambda: open_bucket("b", kind),
    ):
        assert refused(call, StoreError) is not None
