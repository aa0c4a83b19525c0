"""Interoperation with simpleflow's own objects, both ways: the same keys, byte for byte."""

import json
import subprocess
import sys
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
import json, sys, types
from simpleflow.step.tasks import GetStepsDoneTask, MarkStepDoneTask

order = json.load(sys.stdin)
for name in order["mark"]:
    task = MarkStepDoneTask(order["bucket"], order["path"], name)
    task.context = {"run_id": "sf", "workflow_id": "sf-1", "version": "1", "more": "left out"}
    task.execute()
json.dump(sorted(GetStepsDoneTask(order["bucket"], order["path"]).execute()), sys.stdout)
"""


def simpleflow(bucket: str, path: str, mark: list[str]) -> list[str]:
    """Mark with simpleflow's task, and list with its other one."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SIMPLEFLOW],
        input=json.dumps({"bucket": bucket, "path": path, "mark": mark}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    listed: list[str] = json.loads(done.stdout)
    return listed


@pytest.mark.parametrize("path", ["people/42/steps", "people/42/steps/"])
async def test_each_lists_and_reads_what_the_other_marked(
    moto_server: MotoServer, bucket: str, monkeypatch: pytest.MonkeyPatch, path: str
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
    moto_server: MotoServer, bucket: str, monkeypatch: pytest.MonkeyPatch
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
