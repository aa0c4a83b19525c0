"""Credentials in all the places where users put them. `leaks` fails a test in which one comes out."""

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import pytest
from cli_flow import write_flow
from commands import command, installed
from fuzzing import told_by
from leaks import ACCESS_KEY, PASSWORD, SECRET_KEY, SESSION_TOKEN, watch
from run_support import noop
from servers import FaultProxy, MotoServer, error_answer

from asyncsteps import Step, StepRun, StoreError, open_store
from asyncsteps.store import S3Store, open_bucket
from asyncsteps.store._s3.options import ClientOptions
from asyncsteps.swf import SwfClient, SwfError

URLS = [
    f"s3://{ACCESS_KEY}:{SECRET_KEY}@bucket/steps",
    f"s3://bucket/steps?X-Amz-Security-Token={SESSION_TOKEN}",
    f"s3://bucket?X-Amz-Signature={PASSWORD}",
    f"https://user:{PASSWORD}@host/bucket",
    f"user:{PASSWORD}@host/steps",
    f"file://user:{PASSWORD}@host/steps",
    f"memory://user:{PASSWORD}@host",
]
ENDPOINTS = [
    f"http://user:{PASSWORD}@127.0.0.1:9",
    f"https://{PASSWORD}@127.0.0.1:9",
    f"http://127.0.0.1:9?token={PASSWORD}",
    f"user:{PASSWORD}@127.0.0.1:9",
]


def told(error: BaseException) -> None:
    watch.see("all that the error tells", told_by(error))


@pytest.mark.parametrize("url", URLS, ids=range(len(URLS)))
def test_in_the_url_of_a_store(tmp_path: Path, url: str) -> None:
    with pytest.raises(StoreError) as caught:
        open_store(url)
    told(caught.value)
    flow = write_flow(tmp_path)
    for line in (
        ["ls", url],
        ["ls", url, "--json"],
        ["mark", url, "a", "--traceback"],
        ["run", f"{flow}:main", "--workflow-id", "w", "--store", url, "--json"],
        ["plan", f"{flow}:main", "--workflow-id", "w", f"--store={url}"],
    ):
        assert command(*line).code == 2
    assert installed("ls", url, "--json").code == 2


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=range(len(ENDPOINTS)))
@pytest.mark.parametrize("by", ["argument", "environment"])
async def test_in_an_endpoint(monkeypatch: pytest.MonkeyPatch, by: str, endpoint: str) -> None:
    given: dict[str, Any] = {"endpoint_url": endpoint}
    if by == "environment":
        given = {}
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    with pytest.raises(StoreError) as caught:
        async with open_store("s3://bucket/steps", **given) as store:
            await store.list_done()
    told(caught.value)
    with pytest.raises(StoreError) as caught:
        async with open_bucket("bucket", "steps", **given) as store:
            await store.is_done("a")
    told(caught.value)
    with pytest.raises(SwfError) as refused:
        async with SwfClient("domain", **given) as swf:
            await swf.find_open("w")
    told(refused.value)
    assert installed("ls", "s3://bucket/steps", *(["--endpoint-url", endpoint] if given else [])).code in {2, 3}


async def test_in_a_profile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, s3_endpoint: str, bucket: str
) -> None:
    (tmp_path / "credentials").write_text(
        f"[mine]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\n"
        f"aws_session_token = {SESSION_TOKEN}\n[half]\naws_access_key_id = {ACCESS_KEY}\n"
        f"[bad]\naws_secret_access_key {SECRET_KEY}\n"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name)
    for profile in ("mine", "bad"):
        monkeypatch.setenv("AWS_PROFILE", profile)
        try:
            async with open_store(f"s3://{bucket}/steps", endpoint_url=s3_endpoint) as store:
                await store.mark_done("a", {})
        except StoreError as error:
            told(error)
        installed("ls", f"s3://{bucket}/steps", "--traceback", env={"AWS_ENDPOINT_URL": s3_endpoint})


async def test_in_the_url_of_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://user:{PASSWORD}@127.0.0.1:9")
    async with open_store("s3://bucket/steps", endpoint_url="http://s3.invalid", attempts=1) as store:
        with pytest.raises(StoreError) as caught:
            await store.is_done("a")
    told(caught.value)


@pytest.fixture
async def refusing(fault_proxy: FaultProxy) -> FaultProxy:
    """A server that repeats the credentials of a request that it refuses."""
    message = f"The key {ACCESS_KEY[:4]}… is not known"
    answer = error_answer(403, "InvalidAccessKeyId", message)
    fault_proxy.rule = lambda _: answer
    return fault_proxy


async def test_in_refused_requests(tmp_path: Path, refusing: FaultProxy) -> None:
    async with open_store("s3://bucket/steps", endpoint_url=refusing.endpoint) as store:
        for call in (store.list_done, lambda: store.mark_done("a", {}), lambda: store.withdraw("a")):
            with pytest.raises(StoreError) as caught:
                await call()
            told(caught.value)
    flow = write_flow(tmp_path)
    ended = await asyncio.to_thread(
        installed,
        *("run", f"{flow}:main", "--workflow-id", "w", "--store", "s3://bucket/steps", "--json"),
        *("--endpoint-url", refusing.endpoint, "--markers", tmp_path / "markers", "--traceback"),
    )
    assert ended.code == 3
    watch.see("the markers file", (tmp_path / "markers").read_text())


async def test_in_a_run_and_all_that_it_leaves(
    tmp_path: Path, moto_server: MotoServer, bucket: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "asyncsteps"):
        async with (
            open_store(f"s3://{bucket}/steps", endpoint_url=moto_server.endpoint) as store,
            StepRun(store, workflow_id="w", markers_file=tmp_path / "markers") as run,
        ):
            await run.submit(Step("a", noop, save_result=True))
            watch.see("a repr", f"{store!r} {run!r} {store.url} {run.failures!r} {run.markers!r}")
    watch.see("the markers file", (tmp_path / "markers").read_text())
    for key in moto_server.keys(bucket):
        watch.see("a record", moto_server.get(bucket, key).decode())
    env = {"AWS_ENDPOINT_URL_S3": moto_server.endpoint}
    assert json.loads(installed("show", f"s3://{bucket}/steps", "a", "--json", env=env).out)["done"]


def test_in_what_represents_clients_and_options() -> None:
    options = ClientOptions(endpoint_url="http://host", region_name="r")
    watch.see("a repr", f"{options!r} {S3Store('bucket', options=options)!r} {SwfClient('domain')!r}")
