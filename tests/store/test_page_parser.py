import functools
import io
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import quote, quote_plus, unquote_to_bytes
from xml.sax.saxutils import escape

import aioboto3
import botocore.session
import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from hypothesis import given
from hypothesis import strategies as st
from servers import MotoServer

from asyncsteps.store._s3 import page_parser

AWKWARD = [
    " ",
    "a b",
    "a+b",
    "a%20b",
    "100%",
    "%41",
    "%2B+%2b",
    "a&b",
    "a&amp;b",
    "&lt;Key&gt;",
    "<Key>x</Key>",
    "</Contents>",
    "'\"",
    "é",
    "e\u0301",
    "日本語",
    "😀",
    "\x01\x02",
    "tab\tnew\nline",
    "return\r",
    "\x7f",
    "a.",
    "a..b",
    "folder/",
    "ß" * 512,
    "x" * 1024,
]


def listing(
    keys: list[str],
    *,
    prefixes: tuple[str, ...] = (),
    encoding: str | None = "url",
    count: int | None = None,
    token: str | None = None,
    more: str = "",
    head: str = '<?xml version="1.0" encoding="UTF-8"?>\n',
) -> bytes:
    """Build a page as S3 does."""
    write = quote_plus if encoding == "url" else escape
    objects = "".join(
        f"<Contents><Key>{write(key)}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
        f"<ETag>&quot;d41d8cd98f00b204e9800998ecf8427e&quot;</ETag><Size>7</Size></Contents>"
        for key in keys
    )
    groups = "".join(f"<CommonPrefixes><Prefix>{write(prefix)}</Prefix></CommonPrefixes>" for prefix in prefixes)
    return (
        f'{head}<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name><Prefix>p</Prefix>'
        + (f"<NextContinuationToken>{escape(token)}</NextContinuationToken>" if token else "")
        + f"<KeyCount>{len(keys) + len(prefixes) if count is None else count}</KeyCount><MaxKeys>1000</MaxKeys>"
        + (f"<EncodingType>{encoding}</EncodingType>" if encoding else "")
        + f"<IsTruncated>{'true' if token else 'false'}</IsTruncated>{more}{objects}{groups}</ListBucketResult>"
    ).encode()


@functools.cache
def session() -> botocore.session.Session:
    """Return one client for all tests, since its models load slowly."""
    session = botocore.session.Session()
    session.set_credentials("testing", "testing")
    return session


def new_client() -> Any:
    return session().create_client("s3", region_name="us-east-1", config=Config(retries={"total_max_attempts": 1}))


def answer(body: bytes, *, fast: bool, status: int = 200, **params: Any) -> dict[str, Any]:
    """Return a reply as a botocore client parses it."""

    def reply(request: Any, **_: Any) -> Any:
        headers: Any = {"content-type": "application/xml"}
        return AWSResponse(request.url, status, headers, Raw(body))

    client = new_client()
    client.meta.events.register("before-send.s3.ListObjectsV2", reply)
    if fast:
        page_parser.install(client)
    response: dict[str, Any] = client.list_objects_v2(Bucket="b", **params)
    return response


class Raw(io.BytesIO):
    def stream(self) -> Iterator[bytes]:
        yield self.getvalue()


def names(response: dict[str, Any]) -> tuple[list[str], list[str], bool, str | None]:
    return (
        [item["Key"] for item in response.get("Contents", [])],
        [item["Prefix"] for item in response.get("CommonPrefixes", [])],
        response["IsTruncated"],
        response.get("NextContinuationToken"),
    )


def was_fast(response: dict[str, Any]) -> bool:
    """Whether the fast parser was used; botocore's also returns the bucket's name."""
    return "Name" not in response and not any("Size" in item for item in response.get("Contents", []))


@pytest.mark.parametrize("encoding", ["url", None])
@pytest.mark.parametrize("token", ["1/abc+=&<>", None])
def test_a_page_is_read_as_botocore_reads_it(encoding: str | None, token: str | None) -> None:
    keys = [key for key in AWKWARD if encoding or key.isprintable()]
    body = listing(keys, prefixes=("a b.", "é+%."), encoding=encoding, token=token)
    fast, stock = answer(body, fast=True), answer(body, fast=False)
    assert was_fast(fast)
    assert not was_fast(stock)
    assert names(fast) == names(stock) == (keys, ["a b.", "é+%."], token is not None, token)
    assert fast["KeyCount"] == stock["KeyCount"] == len(keys) + 2
    assert fast["ResponseMetadata"]["HTTPStatusCode"] == 200


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), unique=True))
def test_any_keys_are_read_as_they_were_written(keys: list[str]) -> None:
    read = page_parser.parse_page(listing(keys))
    assert [item["Key"] for item in read.get("Contents", [])] == keys


@pytest.mark.parametrize("write", [quote, quote_plus, lambda key: quote(key, safe="")])
def test_every_way_to_url_encode_is_decoded_once(write: Any) -> None:
    body = listing(["KEY"]).replace(b"KEY", write("a b+c%2Bd/é&amp;").encode())
    assert names(answer(body, fast=True))[0] == ["a b+c%2Bd/é&amp;"]


@given(st.lists(st.sampled_from([b"%", b"41", b"%4", b"%3D", b"%c3%A9", b"=", b"==", b"=41", b"_", b" ", b"a"])))
def test_escapes_of_urls_are_read_as_urllib_reads_them(parts: list[bytes]) -> None:
    text = b"".join(parts)
    assert page_parser._unquoted(text) == unquote_to_bytes(text)


def test_an_empty_page_has_no_contents() -> None:
    fast = answer(listing([]), fast=True)
    assert was_fast(fast)
    assert "Contents" not in fast
    assert "CommonPrefixes" not in fast
    assert names(fast) == ([], [], False, None)


@pytest.mark.parametrize(
    "body",
    [
        listing(["a", "b"], count=3),
        listing(["a", "b"], count=1),
        listing(["a", "b"]).replace(b"<KeyCount>2</KeyCount>", b""),
        listing(["a"]).replace(b"<KeyCount>1</KeyCount>", b"<KeyCount>1</KeyCount><KeyCount>1</KeyCount>"),
        listing(["a"], encoding="base64"),
        listing(["a"]).replace(b"<IsTruncated>false</IsTruncated>", b""),
        listing(["a"]).replace(b"<IsTruncated>false<", b"<IsTruncated>maybe<"),
        listing(["a"], token="t").replace(b"<NextContinuationToken>t</NextContinuationToken>", b""),
        listing(["a"]).replace(b"<Key>a</Key>", b"<Key>a<!-- not b --></Key>"),
        listing(["a"]).replace(b"<Key>a</Key>", b"<Key><![CDATA[a]]></Key>"),
        listing(["a"]).replace(b"<Key>a</Key>", b"<Key />"),
        listing(["a"]).replace(b"<Key>a</Key>", b"<Key xml:space='preserve'>a</Key>"),
        listing(["a", "KEY"], encoding=None).replace(b"KEY", b"two\r\nlines"),
        listing(["KEY"], encoding=None).replace(b"KEY", b"&#0;"),
        listing(["KEY"]).replace(b"KEY", b"%FF%FE"),
        listing(["a"], head='<?xml version="1.0" encoding="ISO-8859-1"?>'),
        listing(["a"], head='<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e "b">]>'),
        listing(["a", "b"])
        .replace(b"<EncodingType>url</EncodingType>", b"")
        .replace(b"</Contents><Contents>", b"</Contents><EncodingType>url</EncodingType><Contents>"),
        listing(["a"]).replace(b"</ListBucketResult>", b""),
        listing(["a"])[:-40],
        b"",
        b"<Error><Code>InternalError</Code></Error>",
        b"<html>a proxy</html>",
    ],
)
def test_whatever_is_not_as_expected_is_left_to_botocore(body: bytes) -> None:
    reply = {"status_code": 200, "body": body}
    customised: dict[str, Any] = {}
    page_parser._parse_fast(response_dict=reply, customized_response_dict=customised)
    assert customised == {}
    assert reply == {"status_code": 200, "body": body}


@pytest.mark.parametrize("status", [204, 206, 301, 403, 500, 503])
def test_only_a_plain_200_is_read(status: int) -> None:
    reply = {"status_code": status, "body": listing(["a"])}
    customised: dict[str, Any] = {}
    page_parser._parse_fast(response_dict=reply, customized_response_dict=customised)
    assert customised == {}


def test_what_is_left_to_botocore_comes_out_as_ever() -> None:
    body = listing(["a", "a b"], count=5)
    fast = answer(body, fast=True)
    assert not was_fast(fast)
    assert names(fast) == names(answer(body, fast=False)) == (["a", "a b"], [], False, None)


def test_an_error_within_a_200_is_still_an_error() -> None:
    with pytest.raises(Exception, match="InternalError"):
        answer(b"<Error><Code>InternalError</Code><Message>x</Message></Error>", fast=True)


def test_installing_twice_is_installing_once() -> None:
    client = new_client()
    page_parser.install(client)
    handlers = client.meta.events._emitter._handlers.prefix_search("before-parse.s3.ListObjectsV2")
    page_parser.install(client)
    assert client.meta.events._emitter._handlers.prefix_search("before-parse.s3.ListObjectsV2") == handlers


# Against a real server's replies.


@pytest.fixture
async def clients(s3_endpoint: str) -> AsyncIterator[tuple[Any, Any, Any]]:
    session = aioboto3.Session()
    async with (
        session.client("s3", endpoint_url=s3_endpoint) as fast,
        session.client("s3", endpoint_url=s3_endpoint) as stock,
        session.client("s3", endpoint_url=s3_endpoint) as shared,
    ):
        page_parser.install(fast)
        page_parser.install(shared, own=False)
        yield fast, stock, shared


async def test_a_real_servers_pages(clients: tuple[Any, Any, Any], moto_server: MotoServer, bucket: str) -> None:
    fast, stock, _ = clients
    keys = [
        f"steps/{key}" for key in AWKWARD if len(key) < 512 and "\n" not in key
    ]  # moto has no way to such a key
    keys += ["y" * 1024, "é" * 512]
    for key in keys:
        moto_server.put(bucket, key)
    for params in (
        {},
        {"Prefix": "steps/"},
        {"Prefix": "steps/a", "Delimiter": "."},
        {"Prefix": "steps/", "Delimiter": "/"},
        {"StartAfter": "steps/a b"},
        {"MaxKeys": 3},
        {"Prefix": "none"},
    ):
        page = await fast.list_objects_v2(Bucket=bucket, **params)
        assert was_fast(page), params
        assert names(page) == names(await stock.list_objects_v2(Bucket=bucket, **params)), params
    assert sorted(item["Key"] for item in (await fast.list_objects_v2(Bucket=bucket))["Contents"]) == sorted(keys)


async def test_tokens_lead_through_a_real_servers_pages(
    clients: tuple[Any, Any, Any], moto_server: MotoServer, bucket: str
) -> None:
    fast, *_ = clients
    keys = sorted(f"step {number}" for number in range(7))
    for key in keys:
        moto_server.put(bucket, key)
    found: list[str] = []
    params: dict[str, str] = {}
    while True:
        page = await fast.list_objects_v2(Bucket=bucket, MaxKeys=3, **params)
        found += names(page)[0]
        if not page["IsTruncated"]:
            break
        params = {"ContinuationToken": page["NextContinuationToken"]}
    assert found == keys


async def test_a_shared_client_is_slim_only_inside_the_block(
    clients: tuple[Any, Any, Any], moto_server: MotoServer, bucket: str
) -> None:
    *_, shared = clients
    moto_server.put(bucket, "a b")
    with page_parser.fast_pages():
        inside = await shared.list_objects_v2(Bucket=bucket)
    outside = await shared.list_objects_v2(Bucket=bucket)
    assert was_fast(inside)
    assert outside["Contents"][0]["Size"] == 2
    assert names(inside) == names(outside)


async def test_errors_come_out_as_ever(clients: tuple[Any, Any, Any]) -> None:
    fast, *_ = clients
    with pytest.raises(fast.exceptions.NoSuchBucket):
        await fast.list_objects_v2(Bucket="there-is-none")
