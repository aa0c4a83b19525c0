"""The policies of SECURITY.md: enough for their features, and no permission too many; a missing one is named."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any

import pytest
from iam import Policy, policies, s3_guard, swf_guard, without_each
from run_support import noop
from servers import FaultProxy, MotoServer, error_answer
from swf_client_support import Decider, Ingest, client

from asyncsteps import AccessDeniedError, AsyncstepsError, Step, StepRun, journal, open_store
from asyncsteps._journal.keeping import clean
from asyncsteps._journal.reading import files_of
from asyncsteps.swf import SwfClient
from asyncsteps.swf._done.payload import Snapshot
from asyncsteps.swf._done.snapshots import read_snapshot, write_snapshot
from asyncsteps.swf._errors import DoneListError
from asyncsteps.swf._sync.loop import run_sync
from asyncsteps.swf.tasks import GetStepsDoneTask, MarkStepDoneTask, WithdrawStepsDoneTask

PREFIX = "team/steps"


class World:
    """A bucket with done steps, reached over a proxy that a policy guards.

    Attributes:
        url: The store.
        bucket: The bucket.
    """

    def __init__(self, proxy: FaultProxy, server: MotoServer, bucket: str) -> None:
        self.proxy = proxy
        self.server = server
        self.bucket = bucket
        self.url = f"s3://{bucket}/{PREFIX}"

    def reset(self, policy: Policy) -> None:
        for key in self.server.keys(self.bucket):
            self.server.request("DELETE", f"/{self.bucket}/{key}")
        for name in ("old", "dependent", "other.a"):
            self.server.put(self.bucket, f"{PREFIX}/{name}", b'{"run_id": "earlier", "result": 1}')
        self.proxy.rule = s3_guard(policy, exists=lambda bucket, key: key in self.server.keys(bucket))

    def store(self) -> Any:
        return open_store(self.url, endpoint_url=self.proxy.endpoint, attempts=2)  # past botocore, too


async def read(world: World) -> None:
    async with world.store() as store:
        assert await store.list_done() == ["dependent", "old", "other.a"]
        assert await store.list_done("other") == ["other.a"]
        assert [name async for names in store.iter_done(on_foreign=pytest.fail) for name in names]
        assert (await store.read_done("old"))["run_id"] == "earlier"
        assert await store.read_done("missing") is None
        async with StepRun(store, workflow_id="w") as run:
            assert (await run.submit(Step("old", noop))).status == "skipped"


async def run(world: World) -> None:
    async with world.store() as store, StepRun(store, workflow_id="w") as run:
        assert (await run.submit(Step("old", noop))).status == "skipped"
        outcome = await run.submit(Step("new", noop, bubbles_exception_on_failure=True))
        assert outcome.status == "completed"
    assert f"{PREFIX}/new" in world.server.keys(world.bucket)


async def saved(world: World) -> None:
    async with world.store() as store, StepRun(store, workflow_id="w") as run:
        await run.submit(Step("new", noop, save_result=True, bubbles_exception_on_failure=True))
        assert (await run.submit(Step("old", noop, save_result=True))).result == 1


async def forced(world: World) -> None:
    async with world.store() as store, StepRun(store, workflow_id="w") as run:
        await run.submit(
            Step(
                "old",
                noop,
                force=True,
                force_steps_if_executed=["dependent"],
                bubbles_exception_on_failure=True,
            )
        )
    assert f"{PREFIX}/dependent" not in world.server.keys(world.bucket)


async def repair(world: World) -> None:
    """What the commands do."""
    async with world.store() as store:
        assert await store.mark_done("new", {"reason": "by hand"}, first_wins=True) is True
        assert await store.mark_done("old", {"reason": "by hand"}, first_wins=True) is False
        assert await store.withdraw(await store.list_done("other")) == ["other.a"]


async def journalled(world: World) -> None:
    async with world.store() as store:
        for number in range(2):
            await journal.record_by_hand(store, "marked", [f"s{number}"], by="me")
        if len(await journal.runs(store, by_hand=True)) < 2:
            raise AccessDeniedError("no journal is written")
        await clean(files_of(store), keep=1)
        (left,) = await journal.runs(store, by_hand=True)
        assert left.by == "me"


async def worker(world: World) -> None:
    where = world.bucket, PREFIX

    def tasks() -> None:
        assert GetStepsDoneTask(*where).execute() == ["dependent", "old", "other.a"]
        MarkStepDoneTask(*where, "new").execute()
        assert WithdrawStepsDoneTask(*where, names=["old"]).execute() == 1

    await asyncio.to_thread(tasks)
    snapshot = await asyncio.to_thread(run_sync, lambda: write_snapshot(*where, ["a", "b"]))
    if snapshot is None:
        raise AccessDeniedError("no snapshot is written")
    old = f".asyncsteps-snapshots/{snapshot.prefix.split('/')[1]}/2020-01-01-x"
    world.server.put(world.bucket, old)
    await asyncio.to_thread(run_sync, lambda: write_snapshot(*where, ["a"]))
    if old in world.server.keys(world.bucket):
        raise AccessDeniedError("old snapshots stay")


async def decider(world: World) -> None:
    prefix = ".asyncsteps-snapshots/hash/"
    packed = b'{"packed": "c-jqh1pohIAOf", "count": 1}'
    world.server.put(world.bucket, f"{prefix}there", packed)

    async def reading() -> None:
        assert await read_snapshot(world.bucket, Snapshot(prefix, "gone", 1)) is None
        with pytest.raises(DoneListError):
            await read_snapshot(world.bucket, Snapshot(prefix, "there", 1))

    await asyncio.to_thread(run_sync, reading)


FEATURES: dict[str, Callable[[World], Awaitable[None]]] = {
    "Read: `ls`, `check`, `show`, `plan`": read,
    "Run": run,
    "Run with saved results": saved,
    "Run with forcing and dependents": forced,
    "Repair: `mark`, `forget`": repair,
    "Journals of runs": journalled,
    "SWF workers: their store": worker,
    "SWF deciders: snapshots": decider,
}
CLIENT = "SWF client: start, follow, control"
LOOK_UPS = "SWF client: look-ups"
UNTESTED = "SWF itself, for simpleflow's deciders and workers"


@pytest.fixture
def world(fault_proxy: FaultProxy, moto_server: MotoServer, bucket: str, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", fault_proxy.endpoint)
    return World(fault_proxy, moto_server, bucket)


@pytest.mark.parametrize("name", FEATURES)
async def test_a_policy_is_enough_for_its_feature_and_each_permission_is_needed_and_named(
    world: World, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    policy = policies(BUCKET=world.bucket, PREFIX=PREFIX)[name]
    world.reset(policy)
    await FEATURES[name](world)
    assert all(request.path.startswith(f"/{world.bucket}") for request in world.proxy.requests)
    for action, resource, less in without_each(policy):
        world.reset(less)
        caplog.clear()
        with pytest.raises((AsyncstepsError, ExceptionGroup)) as caught:
            await FEATURES[name](world)
        told = f"{caught.value} {caught.value.__cause__} {getattr(caught.value, '__notes__', '')} {caplog.text}"
        assert action in told, (action, resource, told)
        assert world.bucket in told


async def test_what_the_key_of_an_encryption_needs_is_named(fault_proxy: FaultProxy, bucket: str) -> None:
    async with open_store(f"s3://{bucket}/p", endpoint_url=fault_proxy.endpoint, sse="aws:kms") as store:
        await store.mark_done("a", {})
        fault_proxy.rule = lambda _: error_answer(403, "AccessDenied", "Access Denied")
        with pytest.raises(AccessDeniedError, match=r"kms:GenerateDataKey and kms:Decrypt"):
            await store.mark_done("a", {})
        with pytest.raises(AccessDeniedError, match=r"kms:Decrypt"):
            await store.read_done("a")


async def control(swf: SwfClient) -> None:
    await swf.register(Ingest)
    execution = await swf.start(Ingest, workflow_id="w")
    await execution.signal("go")
    await execution.describe()
    await swf.find_open("w")
    await execution.request_cancel()
    await execution.terminate()
    assert (await execution.wait_closed()).status == "TERMINATED"
    async with aclosing(swf.list_closed(workflow_id="w")) as closed:
        assert [info.workflow_id async for info in closed][:1] == ["w"]


async def look_up(swf: SwfClient) -> None:
    assert (await swf.describe_domain()).is_registered
    assert await swf.is_registered(Ingest)
    assert await swf.activity_types() == []
    assert (await swf.pending("ingest")).activities == 0
    execution = await swf.find("closed")
    assert len([event async for event in execution.events(live=False)]) > 1


CLIENTS = {CLIENT: control, LOOK_UPS: look_up}


def test_each_policy_of_the_page_is_a_feature() -> None:
    assert policies().keys() == {*FEATURES, *CLIENTS, UNTESTED}


@pytest.mark.parametrize("name", CLIENTS)
async def test_the_client_of_swf_needs_each_permission_and_names_it(
    moto_server: MotoServer, fault_proxy: FaultProxy, name: str
) -> None:
    direct = Decider(moto_server.endpoint)
    direct.register()
    guarded = Decider.__new__(Decider)
    guarded.endpoint, guarded.domain = fault_proxy.endpoint, direct.domain
    policy = policies(DOMAIN=direct.domain)[name]
    async with client(direct) as swf:
        await (await swf.start(Ingest, workflow_id="closed")).terminate()

    async def use() -> None:
        async with client(guarded, poll_patience=0) as swf:
            await CLIENTS[name](swf)

    fault_proxy.rule = swf_guard(policy)
    await use()
    for action, _, less in without_each(policy):
        fault_proxy.rule = swf_guard(less)
        with pytest.raises(AsyncstepsError, match=re.escape(action)) as caught:
            await use()
        assert direct.domain in str(caught.value)
        fault_proxy.rule = None
        async with client(direct) as swf, aclosing(swf.list_open(workflow_id="w")) as left:
            async for info in left:
                await swf.get("w", info.run_id).terminate()
