"""The bench's model server answers as moto does."""

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from bench_support import refusal, s3_client
from botocore.exceptions import ClientError

from bench._report import Options
from bench._shapes import digest, make_names
from bench._targets import Target, open_target

AWKWARD = (
    "a",
    "a.b",
    "a.b.c",
    "a.b.c.d",
    "a..",
    "a-b",
    "a b",
    "a+b",
    "a%20b",
    "a&b",
    "a<b>",
    "a\"b'",
    "ab",
    "é.è",
    "工程.step",
    "\ufffd",
    "🙂.a",
    "🙂.b",
    "z\x01",
    "z\tq",
    "zz.1",
    "zz.2",
    "other/deep.er/x",
)
"""Keys below ``p/``, where a listing or an encoding may go wrong."""


@pytest.fixture(scope="module")
def model() -> Iterator[Target]:
    with open_target(Options(target="model")) as target:
        target.seed("flat-padded", 1)
        yield target


@pytest.fixture(scope="module")
def moto() -> Iterator[Target]:
    with open_target(Options(target="moto")) as target:
        yield target


def fill(client: Any) -> None:
    """A bucket ``twins`` that holds the awkward keys."""
    client.create_bucket(Bucket="twins")
    for number, key in enumerate(AWKWARD):
        client.put_object(Bucket="twins", Key=f"p/{key}", Body=b"x" * number)
    client.put_object(Bucket="twins", Key="p.outside", Body=b"")
    client.put_object(Bucket="twins", Key="q/outside", Body=b"")


@pytest.fixture(scope="module")
def twins(model: Target, moto: Target) -> Iterator[tuple[Any, Any]]:
    """Clients of the model and of moto, which hold the same objects before and after each test."""
    clients = s3_client(model), s3_client(moto)
    for client in clients:
        fill(client)
    yield clients
    for client in clients:
        client.close()


def essence(reply: dict[str, Any]) -> dict[str, Any]:
    """The parts of a listing that do not differ from server to server."""
    fields = ("KeyCount", "MaxKeys", "IsTruncated", "Prefix", "Delimiter", "EncodingType", "StartAfter", "Name")
    return {
        **{field: reply.get(field) for field in fields},
        "Contents": [(item["Key"], item["Size"], item["ETag"]) for item in reply.get("Contents", ())],
        "CommonPrefixes": [item["Prefix"] for item in reply.get("CommonPrefixes", ())],
    }


def every_page(client: Any, **query: Any) -> list[dict[str, Any]]:
    """All pages of a listing, by their tokens."""
    reply = client.list_objects_v2(Bucket="twins", **query)
    pages = [essence(reply)]
    while reply["IsTruncated"]:
        query.pop("StartAfter", None)
        reply = client.list_objects_v2(Bucket="twins", **query, ContinuationToken=reply["NextContinuationToken"])
        pages.append(essence(reply))
    return pages


LISTINGS: list[dict[str, Any]] = [
    {},
    {"Prefix": "p/"},
    {"Prefix": "p/a"},
    {"Prefix": "p/a.b"},
    {"Prefix": "p/é"},
    {"Prefix": "p/a%20"},
    {"Prefix": "p/nothing"},
    {"Prefix": "p/", "Delimiter": "."},
    {"Prefix": "p/a", "Delimiter": "."},
    {"Prefix": "p/a.", "Delimiter": "."},
    {"Prefix": "p/🙂", "Delimiter": "."},
    {"Delimiter": "/"},
    {"Prefix": "p/", "Delimiter": "/"},
    {"Prefix": "p/", "StartAfter": "p/a"},
    {"Prefix": "p/", "StartAfter": "p/a.b"},
    {"Prefix": "p/", "StartAfter": "p/a\U0010ffff"},
    {"Prefix": "p/", "StartAfter": "p/no such key"},
    {"Prefix": "p/", "StartAfter": "a"},
    {"Prefix": "p/", "StartAfter": "zzz"},
    {"Prefix": "p/", "MaxKeys": 0},
]


@pytest.mark.parametrize("query", LISTINGS, ids=str)
def test_the_model_lists_as_moto_does(twins: tuple[Any, Any], query: dict[str, Any]) -> None:
    ours, theirs = (every_page(client, **query) for client in twins)
    assert ours == theirs


@pytest.mark.parametrize("size", [1, 2, 3, 7])
@pytest.mark.parametrize(
    "query", [{"Prefix": "p/"}, {"Prefix": "p/", "Delimiter": "."}, {"StartAfter": "p/a.b"}], ids=str
)
def test_the_model_cuts_pages_as_moto_does(twins: tuple[Any, Any], query: dict[str, Any], size: int) -> None:
    ours, theirs = (every_page(client, **query, MaxKeys=size) for client in twins)
    assert len(ours) > 2
    assert ours == theirs


@pytest.mark.parametrize(
    "query", [{"Prefix": "p/"}, {"Prefix": "p/", "Marker": "p/a.b"}, {"Prefix": "p/", "Delimiter": "."}], ids=str
)
def test_the_model_answers_the_older_listing_as_moto_does(twins: tuple[Any, Any], query: dict[str, Any]) -> None:
    ours, theirs = (client.list_objects(Bucket="twins", **query) for client in twins)
    for fields in ("Contents", "CommonPrefixes"):
        found = [
            [item.get("Key", item.get("Prefix")) for item in reply.get(fields, ())] for reply in (ours, theirs)
        ]
        assert found[0] == found[1]
    assert ours["IsTruncated"] == theirs["IsTruncated"]


def outcome(client: Any, operation: str, **query: Any) -> dict[str, Any]:
    """The parts of a reply, or of an error, that do not differ from server to server."""
    try:
        reply = getattr(client, operation)(Bucket=query.pop("Bucket", "twins"), **query)
    except ClientError as error:
        return refusal(error)
    said = {key: reply[key] for key in ("ETag", "ContentLength", "LocationConstraint", "Deleted") if key in reply}
    if operation == "get_object":
        said["Body"] = reply["Body"].read()
    return {"status": reply["ResponseMetadata"]["HTTPStatusCode"], **said}


OPERATIONS: list[tuple[str, dict[str, Any]]] = [
    ("get_object", {"Key": "p/a+b"}),
    ("get_object", {"Key": "p/a%20b"}),
    ("get_object", {"Key": "p/工程.step"}),
    ("get_object", {"Key": "p/nothing"}),
    ("get_object", {"Bucket": "nobody", "Key": "p/nothing"}),
    ("head_object", {"Key": "p/a<b>"}),
    ("head_object", {"Key": "p/nothing"}),
    ("put_object", {"Key": "p/new", "Body": b"{}"}),
    ("put_object", {"Key": "p/a", "Body": b"{}"}),
    ("put_object", {"Key": "p/new", "Body": b"{}", "IfNoneMatch": "*"}),
    ("put_object", {"Key": "p/a", "Body": b"{}", "IfNoneMatch": "*"}),
    ("put_object", {"Bucket": "nobody", "Key": "p/a", "Body": b"{}"}),
    ("delete_object", {"Key": "p/a"}),
    ("delete_object", {"Key": "p/nothing"}),
    ("delete_objects", {"Delete": {"Objects": [{"Key": "p/a"}, {"Key": "p/a&b"}, {"Key": "p/nothing"}]}}),
    ("head_bucket", {}),
    ("head_bucket", {"Bucket": "nobody"}),
    ("get_bucket_location", {}),
    ("list_objects_v2", {"Bucket": "nobody"}),
]


@pytest.mark.parametrize(("operation", "query"), OPERATIONS, ids=str)
def test_the_model_does_what_moto_does(twins: tuple[Any, Any], operation: str, query: dict[str, Any]) -> None:
    ours, theirs = (outcome(client, operation, **query) for client in twins)
    assert ours == theirs
    assert every_page(twins[0], Prefix="p/") == every_page(twins[1], Prefix="p/")


@pytest.mark.parametrize("shape", ["zipf", "unicode"])
def test_seeding_gives_both_the_same_names(model: Target, moto: Target, shape: str) -> None:
    expected = digest(make_names(shape, 50))
    for target in (model, moto):
        target.seed("uuid", 7)
        assert target.seed(shape, 50) == expected
        client, prefix = s3_client(target), target.place.prefix
        with contextlib.closing(client):
            page = client.list_objects_v2(Bucket=target.place.bucket, Prefix=prefix)
        assert digest(item["Key"].removeprefix(prefix) for item in page["Contents"]) == expected
