"""The store that a URL, a path, or a bucket with its prefix names, and what is refused, with a remedy."""

import os
from pathlib import Path
from typing import Any

import aioboto3
import boto3
import pytest

from asyncsteps._errors import StoreError, StoreOptionError, StoreURLError
from asyncsteps.store import DirectoryStore, MemoryStore, S3Store, StepStore, open_bucket, open_store
from asyncsteps.store._location import split_bucket
from asyncsteps.store._s3.aws_hosts import check_aws_host


def opened(url: Any, **options: Any) -> StepStore:
    store = open_store(url, **options)
    assert isinstance(store, StepStore)
    return store


def test_memory_urls() -> None:
    assert isinstance(opened("memory:"), MemoryStore)
    assert isinstance(opened("MEMORY://"), MemoryStore)


def test_paths_and_file_urls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    given: dict[Any, Path] = {
        "steps": tmp_path / "steps",
        "./a:b": tmp_path / "a:b",
        "../x": tmp_path.parent / "x",
        "/var/steps/": Path("/var/steps"),
        Path("p") / "q": tmp_path / "p" / "q",
        Path("s3:") / "b": tmp_path / "s3:" / "b",
        "file:///var/a%20b%3Fc": Path("/var/a b?c"),
        "file:/var/steps": Path("/var/steps"),
        "file://localhost/var/steps": Path("/var/steps"),
    }
    for url, path in given.items():
        store = opened(url)
        assert isinstance(store, DirectoryStore)
        assert store.path == path
        again = opened(store.url)
        assert isinstance(again, DirectoryStore)
        assert again.path == path


def test_a_relative_path_stays_where_it_was_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = opened("steps")
    monkeypatch.chdir("/")
    assert store.url == (tmp_path / "steps").as_uri()


@pytest.mark.parametrize(
    ("url", "prefix"),
    [
        ("s3://b", ""),
        ("s3://b/", ""),
        ("s3://b/p", "p/"),
        ("s3://b/p/", "p/"),
        ("s3://b/x//", "x//"),
        ("s3://b//x", "/x/"),
        ("s3://b/a?b#c%20d&e=f+g", "a?b#c%20d&e=f+g/"),
        ("S3://b/caf\u00e9 1", "caf\u00e9 1/"),
        ("s3://step_bucket/../p", "../p/"),
    ],
)
def test_s3_urls_hold_the_complete_raw_prefix(url: str, prefix: str) -> None:
    store = opened(url)
    assert isinstance(store, S3Store)
    assert store.prefix == prefix
    assert store.url == f"s3://{store.bucket}/{prefix}"


def test_an_access_point_is_a_bucket() -> None:
    arn = "arn:aws:s3:eu-west-1:123456789012:accesspoint:steps"
    store = opened(f"s3://{arn}/p")
    assert isinstance(store, S3Store)
    assert (store.bucket, store.prefix) == (arn, "p/")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("gs://b/p", "'memory:', 'file:///absolute/path'"),
        ("http://host/b", "no store has the scheme 'http'"),
        ("x:y", "write './a:b' for a path with a colon"),
        ("", "no path"),
        ("a\0b", "no path"),
        (3, "not int"),
        (b"s3://b", "not bytes"),
        ("memory:name", "no name"),
        ("file:steps", "absolute path"),
        ("file://host/steps", "absolute path"),
        ("file:///a?b", "%3F"),
        ("s3:b/p", "s3://bucket/prefix"),
        ("s3://", "no bucket"),
        ("s3:///p", "no bucket"),
        ("s3://b c/p", "no bucket"),
        ("s3://user@b/p", "no bucket"),
        ("s3://b/p\nq", "control characters"),
        ("s3://b/\ud800", "surrogates"),
        ("s3://b/" + "x" * 1023, "no room"),
    ],
)
def test_other_urls_are_refused_at_once(url: Any, says: str) -> None:
    with pytest.raises(StoreURLError) as caught:
        open_store(url)
    assert says in str(caught.value)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("host", "region"),
    [
        ("s3.amazonaws.com", None),
        ("S3.AmazonAWS.com", None),
        ("s3-eu-west-1.amazonaws.com", "eu-west-1"),
        ("s3.eu-west-1.amazonaws.com", "eu-west-1"),
        ("s3.dualstack.us-east-2.amazonaws.com", "us-east-2"),
        ("s3-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
        ("s3.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ("s3.us-iso-east-1.c2s.ic.gov", "us-iso-east-1"),
        ("s3.eusc-de-east-1.amazonaws.eu", "eusc-de-east-1"),
        ("bucket.vpce-1a2b.s3.us-east-1.vpce.amazonaws.com", "us-east-1"),
    ],
)
def test_hosts_of_every_aws_partition_are_accepted(host: str, region: str | None) -> None:
    assert check_aws_host(host, bucket="b") == region


@pytest.mark.parametrize(
    "host",
    [
        "evilamazonaws.com",
        "s3.evilamazonaws.com",
        "amazonaws.com.evil.org",
        "amazonaws.com",
        "minio.example",
        "localhost:9000",
        "s3.amazonaws.com:8443",
    ],
)
def test_other_hosts_are_refused_with_the_remedy(host: str) -> None:
    with pytest.raises(StoreURLError, match="endpoint_url") as caught:
        open_bucket(f"{host}/b", "p")
    assert repr("b") in str(caught.value)


@pytest.mark.parametrize(("given", "expected"), [("b", (None, "b")), ("h.org:90/b", ("h.org:90", "b"))])
def test_buckets_and_their_hosts(given: str, expected: tuple[str | None, str]) -> None:
    assert split_bucket(given) == expected


@pytest.mark.parametrize("bucket", ["", "h/", "/b", "a/b/c", "https://h/b", "s3://b", 3, None])
def test_what_is_no_bucket_is_refused(bucket: Any) -> None:
    with pytest.raises(StoreURLError):
        open_bucket(bucket, "p")


def test_a_prefix_must_be_a_str() -> None:
    with pytest.raises(StoreURLError, match="not NoneType"):
        open_bucket("b", None)  # type: ignore[arg-type]


async def endpoint_of(store: Any) -> tuple[str, str]:
    """Return the endpoint and the region of a store's client."""
    async with store:
        client = await store._client._make()
        return client.meta.endpoint_url, client.meta.region_name


async def test_which_endpoint_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://general:1")
    assert await endpoint_of(open_bucket("b", "p")) == ("http://general:1", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://special:2")
    assert await endpoint_of(open_bucket("b", "p")) == ("http://special:2", "us-east-1")
    assert await endpoint_of(open_store("s3://b/p")) == ("http://special:2", "us-east-1")
    host = "s3.eu-west-1.amazonaws.com"
    assert await endpoint_of(open_bucket(f"{host}/b", "p")) == (f"https://{host}", "eu-west-1")
    assert await endpoint_of(open_bucket(f"{host}/b", "p", region_name="us-west-2")) == (
        f"https://{host}",
        "us-west-2",
    )
    mine = "http://mine:3"
    assert await endpoint_of(open_bucket(f"{host}/b", "p", endpoint_url=mine)) == (mine, "us-east-1")
    assert await endpoint_of(open_bucket("minio:9000/b", "p", endpoint_url=mine)) == (mine, "us-east-1")
    assert await endpoint_of(open_store("s3://b/p", endpoint_url=mine, region_name="x-1")) == (mine, "x-1")


@pytest.mark.parametrize(
    ("url", "options", "says"),
    [
        ("memory:", {"endpoint_url": "http://h"}, "only S3 stores take endpoint_url"),
        ("steps", {"session": aioboto3.Session(), "sse": True}, "only S3 stores take session, sse"),
        ("s3://b", {"endpoint_url": "localhost:9000"}, "'http://' or 'https://'"),
        ("s3://b", {"session": object()}, "no session of aioboto3 or aiobotocore"),
        ("s3://b", {"session": boto3.Session()}, "no session of aioboto3 or aiobotocore"),
        ("s3://b", {"client": object()}, "not an aioboto3 S3 client"),
        ("s3://b", {"client": boto3.client("s3", region_name="us-east-1")}, "not an aioboto3 S3 client"),
        ("s3://b", {"config": {"retries": {}}}, "not a botocore.config.Config"),
        ("s3://b", {"client": object(), "region_name": "eu-west-1"}, "its own region_name"),
        ("s3://b", {"sse": "rot13"}, "no server-side encryption"),
        ("s3://b", {"concurrency": 0}, "concurrency=0"),
        ("memory:", {"concurrency": True}, "concurrency=True"),
        ("steps", {"concurrency": 1.5}, "concurrency=1.5"),
    ],
)
def test_options_that_do_not_fit_are_refused(url: str, options: dict[str, Any], says: str) -> None:
    with pytest.raises(StoreOptionError, match=says) as caught:
        open_store(url, **options)
    assert isinstance(caught.value, StoreError)


USER, PASSWORD, TOKEN = "planted-user", "planted/password", "planted%2Ftoken"


@pytest.mark.parametrize(
    "url",
    [
        f"s3://{USER}:{PASSWORD}@bucket/p",
        f"s3://{USER}@bucket/p",
        f"s3://{USER}:{PASSWORD}",
        f"s3:{USER}:{PASSWORD}@bucket",
        f"https://{USER}:{PASSWORD}@host/bucket",
        f"https://host/bucket?X-Amz-Security-Token={TOKEN}&X-Amz-Signature={PASSWORD}",
        f"s3://bucket/p?X-Amz-Security-Token={TOKEN}",
        f"memory://{USER}:{PASSWORD}@host",
        f"https://{USER}:it's {PASSWORD}@host/bucket",
        f"file://{USER}:{PASSWORD}@host/path",
    ],
)
def test_no_credentials_of_a_url_are_shown(url: str) -> None:
    with pytest.raises(StoreURLError) as caught:
        open_store(url)
    assert "planted" not in str(caught.value) + repr(vars(caught.value))


@pytest.mark.parametrize("bucket", [f"{USER}:{PASSWORD}@host/bucket", f"https://{USER}:{PASSWORD}@host/bucket"])
def test_no_credentials_of_a_bucket_are_shown(bucket: str) -> None:
    with pytest.raises(StoreURLError) as caught:
        open_bucket(bucket, "p")
    assert "planted" not in str(caught.value)


@pytest.mark.parametrize(
    "endpoint",
    [
        f"http://{USER}:{PASSWORD}@127.0.0.1:9",
        f"http://127.0.0.1:9/?token={TOKEN}",
        f"http://{USER}:it's {PASSWORD}@h",
        f"//{USER}:x@h",
    ],
)
async def test_endpoints_with_credentials_are_refused_unseen(
    endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StoreOptionError) as caught:
        open_store("s3://b/p", endpoint_url=endpoint)
    assert "planted" not in str(caught.value)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", endpoint)
    async with open_store("s3://b/p") as store:
        with pytest.raises(StoreError) as caught_later:
            await store.is_done("a")
    assert "planted" not in str(caught_later.value) + repr(vars(caught_later.value)) + repr(store)


def test_opening_needs_no_directory_and_no_network() -> None:
    assert not os.path.exists("/nowhere")  # noqa: PTH110 -- as a user would write it
    opened("/nowhere/steps")
    opened("s3://no-such-bucket/p", endpoint_url="http://127.0.0.1:9")
