"""Keys on the wire: whatever prefix and name a store is given, no request leaves them."""

import re
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any
from urllib.parse import quote, unquote
from xml.sax.saxutils import escape, unescape

import pytest
from fuzzing import examples, hostile_text, step_names
from hypothesis import example, given
from hypothesis import strategies as st
from servers import Answer, FaultProxy, Request, error_answer
from stub_aws import shared_session

from asyncsteps import AsyncstepsError
from asyncsteps._plan.names import is_step_name
from asyncsteps.store import StepStore, open_bucket, open_store

RECORD = {"run_id": "r"}
parts = st.sampled_from(
    ["", ".", "..", "%2e%2e", "a", "a b", "é", "+", "?", "#", "%", "&x=1", "~", "\\..", "*", "\u2028", ";", " "]
)
prefixes = st.lists(parts, max_size=4).map("/".join)
"""Prefixes full of what servers, proxies and clients take for more than a character of a key."""

names = st.lists(parts, min_size=1, max_size=4).map("/".join) | step_names | hostile_text


def answer(request: Request) -> Answer:
    """What S3 would say of an empty bucket."""
    if "if-none-match" in request.headers:
        return error_answer(412, "PreconditionFailed")
    if request.method == "POST":
        keys = re.findall(r"<Key>(.*?)</Key>", request.body.decode(), re.DOTALL)
        deleted = "".join(f"<Deleted><Key>{key}</Key></Deleted>" for key in keys)
        return Answer(200, f"<DeleteResult>{deleted}</DeleteResult>".encode())
    if request.is_listing:
        prefix = escape(quote(request.query["prefix"]))
        return Answer(
            200,
            f"<ListBucketResult><Prefix>{prefix}</Prefix><KeyCount>0</KeyCount><IsTruncated>false</IsTruncated>"
            "<EncodingType>url</EncodingType></ListBucketResult>".encode(),
        )
    return {
        "PUT": Answer(200, headers={"ETag": '"e"'}),
        "DELETE": Answer(204),
        "GET": Answer(404, b"<Error><Code>NoSuchKey</Code></Error>"),
        "HEAD": Answer(200 if request.path == "/bucket" else 404),
    }[request.method]


def touched(request: Request) -> set[str]:
    """The keys that a request reads, writes or deletes, as they are on the wire."""
    path = request.target.partition("?")[0]
    if request.method == "POST":
        assert path == "/bucket"
        return {unescape(key) for key in re.findall(r"<Key>(.*?)</Key>", request.body.decode(), re.DOTALL)}
    if path == "/bucket":
        return set()
    assert path.startswith("/bucket/")
    return {unquote(path.removeprefix("/bucket/"), errors="strict")}


@pytest.fixture
async def wire() -> AsyncIterator[FaultProxy]:
    """A server that answers everything itself, and records what it is asked."""
    async with FaultProxy(9) as server:
        server.rule = answer
        yield server


async def use(store: StepStore, name: str) -> None:
    for call in (
        lambda: store.is_done(name),
        lambda: store.mark_done(name, RECORD),
        lambda: store.mark_done(name, RECORD, first_wins=True),
        lambda: store.read_done(name),
        lambda: store.withdraw([name]),
        lambda: store.list_done(name),
        lambda: store.done_page(name),
    ):
        with suppress(AsyncstepsError):
            await call()


def options(wire: FaultProxy) -> dict[str, Any]:
    return {"session": shared_session(), "endpoint_url": wire.endpoint, "attempts": 2}


async def check(wire: FaultProxy, opening: AbstractAsyncContextManager[StepStore], prefix: str, name: str) -> None:
    """Check that only the key of ``name`` is touched; ``=x``, as a selector, also looks for the step ``x``."""
    folder = f"{prefix}/" if prefix and not prefix.endswith("/") else prefix
    key = folder + name
    exactly = name[1:] if name.startswith("=") else ""
    safe = exactly and not exactly.startswith("/") and not {".", ".."} & set(exactly.split("/"))
    looked_at = {folder + exactly} if safe else set()
    wire.requests.clear()
    async with opening as store:
        await use(store, name)
    for request in wire.requests:
        assert touched(request) <= ({key} | looked_at if request.method == "HEAD" else {key})
        if request.is_listing:
            assert request.query["prefix"].startswith(key.removesuffix(name))
            assert request.query.get("start-after", key).startswith(key.removesuffix(name))


@examples(30)
@given(prefix=prefixes, name=names, transport=st.sampled_from([None, "botocore"]))
@example(prefix="a/../b", name="c", transport=None)
@example(prefix="..", name="c", transport="botocore")
@example(prefix="", name="a?b#c%2e", transport=None)
@example(prefix="/", name="..a", transport=None)
async def test_no_request_leaves_the_key_of_its_name(
    wire: FaultProxy, prefix: str, name: str, transport: str | None
) -> None:
    with suppress(AsyncstepsError):
        await check(wire, open_store(f"s3://bucket/{prefix}", transport=transport, **options(wire)), prefix, name)
        assert wire.requests or not is_step_name(name)


@examples(30)
@given(prefix=prefixes, name=names)
@example(prefix="steps", name="a/../../other/b")
@example(prefix="steps", name="/other")
@example(prefix="steps", name="a//b")
@example(prefix="/", name="\ud800")
async def test_no_request_leaves_the_key_of_a_name_by_the_rule_of_simpleflow(
    wire: FaultProxy, prefix: str, name: str
) -> None:
    with suppress(AsyncstepsError):
        await check(wire, open_bucket("bucket", prefix, step_names="simpleflow", **options(wire)), prefix, name)
        if any(map(touched, wire.requests)):
            assert not {".", ".."} & set(name.split("/"))
            assert not name.startswith("/")
