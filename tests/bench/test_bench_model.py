"""The bench's model server: it answers as moto does, and beyond that as S3 does."""

import contextlib
import http.client
import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from xml.etree import ElementTree as ET

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from bench._model_bucket import Bucket, read_token
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


def s3_client(target: Target) -> Any:
    config = Config(retries={"total_max_attempts": 1})
    return boto3.client(
        "s3",
        endpoint_url=target.place.endpoint_url,
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
        region_name="us-east-1",
        config=config,
    )


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
    """Clients of the model and of moto, filled alike; a test leaves them alike."""
    clients = s3_client(model), s3_client(moto)
    for client in clients:
        fill(client)
    yield clients
    for client in clients:
        client.close()


def essence(reply: dict[str, Any]) -> dict[str, Any]:
    """What a listing says, without what differs from server to server."""
    fields = ("KeyCount", "MaxKeys", "IsTruncated", "Prefix", "Delimiter", "EncodingType", "StartAfter", "Name")
    return {
        **{field: reply.get(field) for field in fields},
        "Contents": [(item["Key"], item["Size"], item["ETag"]) for item in reply.get("Contents", ())],
        "CommonPrefixes": [item["Prefix"] for item in reply.get("CommonPrefixes", ())],
    }


def every_page(client: Any, **query: Any) -> list[dict[str, Any]]:
    """The pages of a listing, each asked for with the token of the one before."""
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


def refusal(error: ClientError) -> dict[str, Any]:
    """The status and the code of an error."""
    reply: Any = error.response
    return {"status": reply["ResponseMetadata"]["HTTPStatusCode"], "code": reply["Error"]["Code"]}


def what_it_says(client: Any, operation: str, **query: Any) -> dict[str, Any]:
    """The essence of one reply, or of its error."""
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
    ours, theirs = (what_it_says(client, operation, **query) for client in twins)
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


# What the model does and moto does not.


@pytest.fixture
def client(model: Target) -> Iterator[Any]:
    made = s3_client(model)
    yield made
    model.set()
    made.close()


def test_a_page_holds_at_most_a_thousand(model: Target, client: Any) -> None:
    model.seed("flat-padded", 2001)
    prefix = model.place.prefix
    page = client.list_objects_v2(Bucket=model.place.bucket, Prefix=prefix, MaxKeys=5000)
    assert (page["KeyCount"], page["MaxKeys"], page["IsTruncated"]) == (1000, 1000, True)
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=model.place.bucket, Prefix=prefix)
    assert [one["KeyCount"] for one in pages] == [1000, 1000, 1]


def test_a_group_of_exactly_a_page_is_not_cut(model: Target, client: Any) -> None:
    model.seed("flat-padded", 1000)
    page = client.list_objects_v2(Bucket=model.place.bucket, Prefix=model.place.prefix)
    assert (page["KeyCount"], page["IsTruncated"]) == (1000, False)


def test_start_after_inside_a_group_keeps_the_group(client: Any) -> None:
    """As S3 does; moto loses it."""
    client.create_bucket(Bucket="groups")
    for key in ("a.1", "a.2", "b"):
        client.put_object(Bucket="groups", Key=key, Body=b"")
    page = client.list_objects_v2(Bucket="groups", Delimiter=".", StartAfter="a.1")
    assert [group["Prefix"] for group in page["CommonPrefixes"]] == ["a."]


@pytest.mark.parametrize(
    "query", [{"ContinuationToken": "bm9uZQ=="}, {"ContinuationToken": "~"}, {"MaxKeys": -1}], ids=str
)
def test_bad_arguments_are_refused(model: Target, client: Any, query: dict[str, Any]) -> None:
    with pytest.raises(ClientError) as caught:
        client.list_objects_v2(Bucket=model.place.bucket, **query)
    assert refusal(caught.value)["code"] == "InvalidArgument"


def test_deleting_too_many_at_once_is_refused(model: Target, client: Any) -> None:
    objects = [{"Key": str(number)} for number in range(1001)]
    with pytest.raises(ClientError, match="MalformedXML"):
        client.delete_objects(Bucket=model.place.bucket, Delete={"Objects": objects})


def test_a_quiet_deletion_names_nothing(client: Any) -> None:
    """As S3 does; moto names all the same."""
    client.create_bucket(Bucket="quiet")
    client.put_object(Bucket="quiet", Key="k", Body=b"")
    reply = client.delete_objects(Bucket="quiet", Delete={"Objects": [{"Key": "k"}], "Quiet": True})
    assert "Deleted" not in reply
    assert client.list_objects_v2(Bucket="quiet")["KeyCount"] == 0


def test_it_throttles(model: Target, client: Any) -> None:
    model.set(requests_per_second=1e-9)
    model.reset()
    with pytest.raises(ClientError) as caught:
        client.list_objects_v2(Bucket=model.place.bucket)
    assert refusal(caught.value)["code"] == "SlowDown"
    assert refusal(caught.value)["status"] == 503
    assert model.counters()["throttled"] == 1


def test_it_counts_requests_and_how_many_were_under_way_at_once(model: Target, client: Any) -> None:
    model.seed("flat-padded", 1)
    model.set(latency_ms=300)
    model.reset()
    together = threading.Barrier(4)

    def ask(_: int) -> None:
        together.wait()
        client.head_object(Bucket=model.place.bucket, Key="0-before")

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(ask, range(4)))
    client.list_objects_v2(Bucket=model.place.bucket)
    counted = model.counters()
    assert (counted["requests"], counted["by_operation"]) == (5, {"HEAD": 4, "LIST": 1})
    assert counted["peak_concurrency"] == 4


def raw(model: Target, *parts: bytes) -> list[bytes]:
    """What the server says after each part of a conversation on one connection."""
    port = int((model.place.endpoint_url or "").rpartition(":")[2])
    said = []
    with contextlib.closing(socket.create_connection(("127.0.0.1", port), timeout=10)) as connection:
        for part in parts:
            connection.sendall(part)
            said.append(connection.recv(65536))
    return said


def test_a_client_that_waits_for_100_continue_gets_it_first(model: Target) -> None:
    model.seed("flat-padded", 0)
    head = b"PUT /bench/k HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
    waited, stored = raw(model, head, b"{}")
    assert waited == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert stored.startswith(b"HTTP/1.1 200 OK\r\n")


def test_a_request_in_pieces_and_two_in_one_piece_are_answered(model: Target) -> None:
    model.seed("flat-padded", 0)
    get = b"HEAD /bench/0-before HTTP/1.1\r\nHost: x\r\n\r\n"
    port = int((model.place.endpoint_url or "").rpartition(":")[2])
    with contextlib.closing(socket.create_connection(("127.0.0.1", port), timeout=10)) as connection:
        connection.sendall(get[:20])
        connection.sendall(get[20:] + get)
        said = b""
        while said.count(b"\r\n\r\n") < 2:
            said += connection.recv(65536)
    assert said.count(b"HTTP/1.1 200 OK") == 2


def test_a_connection_that_breaks_in_a_body_leaves_no_request_under_way(model: Target, client: Any) -> None:
    model.reset()
    (waited,) = raw(model, b"PUT /bench/half HTTP/1.1\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n")
    assert waited.startswith(b"HTTP/1.1 100")
    client.head_bucket(Bucket=model.place.bucket)
    model.reset()
    client.head_bucket(Bucket=model.place.bucket)
    assert model.counters()["peak_concurrency"] == 1
    with pytest.raises(ClientError):
        client.head_object(Bucket=model.place.bucket, Key="half")


def test_what_the_model_does_not_know_is_said(model: Target) -> None:
    port = int((model.place.endpoint_url or "").rpartition(":")[2])
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request("PATCH", "/bench/k")
        answer = connection.getresponse()
        assert (answer.status, ET.fromstring(answer.read()).findtext("Code")) == (501, "NotImplemented")
        connection.request("PUT", "/bench/k", body=iter([b"{}"]), headers={"Transfer-Encoding": "chunked"})
        answer = connection.getresponse()
        assert answer.status == 501


def test_a_seed_that_is_none_is_refused(model: Target) -> None:
    port = int((model.place.endpoint_url or "").rpartition(":")[2])
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request("POST", "/_model/seed", body=json.dumps({"prefix": "", "shape": "round", "count": 1}))
        answer = connection.getresponse()
        assert answer.status == 400
        assert "there is no shape 'round'" in json.loads(answer.read())["error"]


@pytest.mark.parametrize("deleted", [1, 40])
def test_a_bucket_forgets_what_is_deleted(deleted: int) -> None:
    bucket = Bucket(map(str, range(100)))
    bucket.put("new", b"body")
    bucket.delete([str(number) for number in range(deleted)] + ["new", "nothing"])
    assert len(bucket) == 100 - deleted
    assert bucket.get("new") is None
    assert bucket.get("0") is None
    assert "99" in bucket


@pytest.mark.parametrize("token", ["", "bW9kZWw", "bm9uZTph", "bW9kZWw6/w=="])
def test_a_foreign_token_is_none(token: str) -> None:
    with pytest.raises(ValueError, match="not a token"):
        read_token(token)
