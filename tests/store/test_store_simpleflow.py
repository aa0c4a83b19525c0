"""Interoperation with simpleflow's own objects, both ways: the same keys, byte for byte."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from servers import MotoServer

from asyncsteps.store import open_bucket, open_store

NAMES = [
    "ingest",
    "ingest.users",
    "ingest.users.load",
    "Mail",
    "a b",
    "x:y-z_1",
    "100%",
    "a+b",
    "\u00e9t\u00e9.\u65e5",
]
RECORD = {"run_id": "r1", "workflow_id": "ingest-1", "version": "2", "result": [1, 2]}

# In a process of its own: simpleflow keeps clients and buckets in module-level caches, and configures logging.
SIMPLEFLOW = """
import json, sys
from simpleflow.step.tasks import GetStepsDoneTask, MarkStepDoneTask

for line in sys.stdin:
    order = json.loads(line)
    for name in order["mark"]:
        task = MarkStepDoneTask(order["bucket"], order["path"], name)
        task.context = {"run_id": "sf", "workflow_id": "sf-1", "version": "1", "more": "left out"}
        task.execute()
    print(json.dumps(sorted(GetStepsDoneTask(order["bucket"], order["path"]).execute())), flush=True)
"""

Simpleflow = Callable[[str, str, list[str]], list[str]]
"""Marks with simpleflow's task, and lists with its other one."""


@pytest.fixture(scope="module")
def simpleflow(moto_server: MotoServer) -> Iterator[Simpleflow]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environment |= dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "testing")
    environment |= dict.fromkeys(("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"), os.devnull)
    environment |= {"AWS_DEFAULT_REGION": "us-east-1", "AWS_ENDPOINT_URL": moto_server.endpoint}
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", SIMPLEFLOW],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:

        def ask(bucket: str, path: str, mark: list[str]) -> list[str]:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps({"bucket": bucket, "path": path, "mark": mark}) + "\n")
            process.stdin.flush()
            listed: list[str] = json.loads(process.stdout.readline())
            return listed

        try:
            yield ask
        finally:
            process.kill()


@pytest.mark.parametrize("path", ["people/42/steps", "people/42/steps/"])
async def test_each_lists_and_reads_what_the_other_marked(
    moto_server: MotoServer, bucket: str, simpleflow: Simpleflow, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto_server.endpoint)
    theirs = [f"theirs.{name}" for name in NAMES]
    ours = [f"ours.{name}" for name in NAMES]
    async with open_bucket(bucket, path) as store:
        for name in ours:
            assert await store.mark_done(name, RECORD)
        assert simpleflow(bucket, path, theirs) == sorted([*ours, *theirs])
        assert await store.list_done() == sorted([*ours, *theirs])
        assert await store.list_done("theirs.ingest.users") == ["theirs.ingest.users", "theirs.ingest.users.load"]
        for name in theirs:
            assert await store.is_done(name)
            assert await store.read_done(name) == {"run_id": "sf", "workflow_id": "sf-1", "version": "1"}
            assert await store.mark_done(name, RECORD, first_wins=True) is False
    assert sorted(moto_server.keys(bucket)) == sorted(f"people/42/steps/{name}" for name in [*ours, *theirs])


async def test_the_same_step_is_the_same_object(
    moto_server: MotoServer, bucket: str, simpleflow: Simpleflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto_server.endpoint)
    simpleflow(bucket, "steps/", NAMES)
    before = moto_server.keys(bucket)
    async with open_store(f"s3://{bucket}/steps") as store:
        for name in NAMES:
            await store.mark_done(name, RECORD)
        assert moto_server.keys(bucket) == before
        body: dict[str, Any] = json.loads(moto_server.get(bucket, "steps/ingest"))
        assert body == RECORD
        assert await store.withdraw(NAMES) == sorted(NAMES)
    assert simpleflow(bucket, "steps/", []) == []
