"""Where journals are, who sees them, and which are removed; on every store."""

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Self

import anyio
import pytest
from journals import STORES, open_by
from run_support import noop
from servers import FaultProxy, MotoServer, error_answer

from asyncsteps import (
    MemoryStore,
    Step,
    StepDefinitionError,
    StepRun,
    StepStore,
    StoreError,
    journal,
    open_store,
)
from asyncsteps._run import journal as writer
from asyncsteps.store import DonePage
from asyncsteps.store._s3.journal import journal_prefix


@pytest.fixture(params=STORES)
async def store(request: pytest.FixtureRequest) -> AsyncIterator[StepStore]:
    async with open_by(request) as opened:
        yield opened


async def test_no_listing_sees_it(store: StepStore) -> None:
    async with StepRun(store, workflow_id="w") as run:
        await run.submit(Step("a", noop))
    assert len(await journal.runs(store)) == 1
    assert await store.list_done(on_foreign=pytest.fail) == ["a"]
    assert await store.done_page() == DonePage(("a",), None)


@pytest.mark.parametrize("prefix", ["steps/", "wf/steps/", ".hidden/", "_x/", ".asyncsteps-journal/", "é/"])
def test_no_prefix_of_the_steps_prefix_sees_it(prefix: str) -> None:
    where = journal_prefix(prefix)
    assert where is not None
    assert not any(where.startswith(prefix[:end]) for end in range(1, len(prefix) + 1))


@pytest.mark.parametrize("slash", ["", "/"])
async def test_simpleflows_own_listing_does_not_see_it(
    moto_server: MotoServer, bucket: str, monkeypatch: pytest.MonkeyPatch, slash: str
) -> None:
    from simpleflow.step.tasks import GetStepsDoneTask

    monkeypatch.setenv("AWS_ENDPOINT_URL", moto_server.endpoint)
    async with open_store(f"s3://{bucket}/wf/steps") as store, StepRun(store, workflow_id="w") as run:
        await run.submit(Step("a", noop))
    assert any(key.startswith(".asyncsteps-journal/") for key in moto_server.keys(bucket))
    assert await asyncio.to_thread(GetStepsDoneTask(bucket, f"wf/steps{slash}").execute) == ["a"]


async def test_under_an_empty_prefix_there_is_none(moto_server: MotoServer, bucket: str) -> None:
    async with open_store(f"s3://{bucket}", endpoint_url=moto_server.endpoint) as store:
        async with StepRun(store, workflow_id="w") as run:
            await run.submit(Step("a", noop))
        with pytest.raises(StoreError, match="keeps no journals"):
            await journal.runs(store)
    assert moto_server.keys(bucket) == ["a"]


class Foreign:
    """A store of somebody else's, which keeps no journals."""

    def __init__(self) -> None:
        self._store = MemoryStore()

    async def __aenter__(self) -> Self:
        await self._store.__aenter__()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._store.__aexit__(*exc_info)

    def __getattr__(self, name: str) -> Any:
        if name == "journal_files":
            raise AttributeError(name)
        return getattr(self._store, name)


async def test_a_store_without_journals_works() -> None:
    async with Foreign() as foreign:
        store: Any = foreign
        async with StepRun(store, workflow_id="w") as run:
            assert (await run.submit(Step("a", noop))).status == "completed"
        assert run.markers


async def test_old_journals_are_removed(store: StepStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "_CLEANS", 1)  # look at each end, on S3 too
    await journal.record_by_hand(store, "marked", ["z"], by="me")
    for number in range(5):
        async with StepRun(store, workflow_id="w", run_id=f"r{number}", keep_runs=2) as run:
            await run.submit(Step("a", noop))
    assert [run.run_id for run in await journal.runs(store)] == ["r4", "r3"]
    assert len(await journal.runs(store, by_hand=True)) == 3


async def test_a_run_that_may_go_on_keeps_its_journal() -> None:
    async with MemoryStore({"a": {}}) as store, StepRun(store, workflow_id="w", run_id="long") as run:
        await run.submit(Step("a", noop, force=True))  # its mark is withdrawn, which is written at once
        await anyio.wait_all_tasks_blocked()
        assert await store.journal_files.names()
        for number in range(3):
            async with StepRun(store, workflow_id="w", run_id=f"r{number}", keep_runs=1):
                pass
        assert [run.run_id for run in await journal.runs(store)] == ["r2", "long"]
        assert [run.outcome for run in await journal.runs(store)] == ["completed", "running"]


@pytest.mark.parametrize("given", [0, -1, True, 1.5])
async def test_keep_runs_is_checked(given: Any) -> None:
    with pytest.raises(StepDefinitionError, match="journal=False keeps none"):
        StepRun(MemoryStore(), workflow_id="w", keep_runs=given)


async def test_a_link_in_the_place_of_the_journals_is_not_followed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "steps").mkdir()
    (tmp_path / "steps" / ".asyncsteps-journal").symlink_to(elsewhere)
    async with open_store(tmp_path / "steps") as store:
        async with StepRun(store, workflow_id="w") as run:
            assert (await run.submit(Step("a", noop))).status == "completed"
        assert await store.list_done() == ["a"]
        assert await journal.runs(store) == []
    assert list(elsewhere.iterdir()) == []


async def test_denied_it_warns_once_and_names_the_permission(
    fault_proxy: FaultProxy, bucket: str, caplog: pytest.LogCaptureFixture
) -> None:
    fault_proxy.inject(
        error_answer(403, "AccessDenied"),
        times=100,
        when=lambda request: request.method == "PUT" and ".asyncsteps-journal" in request.path,
    )
    async with open_store(f"s3://{bucket}/steps", endpoint_url=fault_proxy.endpoint) as store:
        async with StepRun(store, workflow_id="w") as run:
            assert (await run.submit(Step("a", noop))).status == "completed"
        assert await store.list_done() == ["a"]
    warnings = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(warnings) == 1
    assert "s3:PutObject" in warnings[0]
    assert f"{bucket}" in warnings[0]
