"""What the bench's model server does beyond moto: as S3 does, and to measure with."""

import contextlib
import http.client
import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from bench_support import refusal, s3_client
from botocore.exceptions import ClientError

from bench._model_bucket import Bucket, read_token
from bench._report import Options
from bench._targets import Target, open_target


@pytest.fixture(scope="module")
def model() -> Iterator[Target]:
    with open_target(Options(target="model")) as target:
        target.seed("flat-padded", 1)
        yield target


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
    """As S3 does; moto lists the deleted keys all the same."""
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


def test_it_counts_requests_and_how_many_were_in_flight_at_once(model: Target, client: Any) -> None:
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
    """What the server sends after each part of a conversation on one connection."""
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


def test_a_connection_that_breaks_in_a_body_leaves_no_request_in_flight(model: Target, client: Any) -> None:
    model.reset()
    (waited,) = raw(model, b"PUT /bench/half HTTP/1.1\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n")
    assert waited.startswith(b"HTTP/1.1 100")
    client.head_bucket(Bucket=model.place.bucket)
    model.reset()
    client.head_bucket(Bucket=model.place.bucket)
    assert model.counters()["peak_concurrency"] == 1
    with pytest.raises(ClientError):
        client.head_object(Bucket=model.place.bucket, Key="half")


def test_unknown_operations_are_refused(model: Target) -> None:
    port = int((model.place.endpoint_url or "").rpartition(":")[2])
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request("PATCH", "/bench/k")
        answer = connection.getresponse()
        assert (answer.status, ET.fromstring(answer.read()).findtext("Code")) == (501, "NotImplemented")
        connection.request("PUT", "/bench/k", body=iter([b"{}"]), headers={"Transfer-Encoding": "chunked"})
        answer = connection.getresponse()
        assert answer.status == 501


def test_an_unknown_shape_is_refused(model: Target) -> None:
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
def test_a_token_of_another_server_is_refused(token: str) -> None:
    with pytest.raises(ValueError, match="not a token"):
        read_token(token)
