"""What `why` says where a journal alone would mislead: alternatives, killed runs, ids used twice, wide chains."""

from typing import Any

import anyio
import pytest
from run_support import GatedStore, fails, noop

from asyncsteps import Group, MemoryStore, Step, StepRun, journal
from asyncsteps._journal import story
from asyncsteps._journal.places import folders
from asyncsteps.journal import Reason


def lines(*reasons: Reason) -> list[str]:
    return [line for reason in reasons for line in reason.lines()]


async def cut(store: MemoryStore, run_id: str, *, before: bytes) -> None:
    """Leave of a journal what was written before a line, as if the process of the run had been killed then."""
    files = store.journal_files
    (folder,) = [each for each in folders(await files.names()) if each.name.endswith(run_id)]
    bodies = [file.body for name in folder.segments if (file := await files.read(name)) is not None]
    await files.remove(folder.segments)
    body = b"".join(bodies)
    await files.write(f"{folder.name}/000001.jsonl", body[: body.rindex(b'{"event":"', 0, body.index(before) + 1)])
    for name in await files.names():
        written, at = files._files[name]
        files._files[name] = (written.replace(b'"process":"', b'"process":"other'), at - 91)


async def test_what_is_played_instead_of_a_done_step_fails() -> None:
    async with MemoryStore() as store:
        for run_id, instead in (("first", None), ("second", fails)):
            async with StepRun(store, workflow_id="w", run_id=run_id) as run:
                await run.submit(Step("a", noop, activities_if_step_already_done=instead))
        answer = await journal.why(store, "a")
    second = answer.runs[0]
    assert second.verdict == "skipped, but what is played instead failed: ValueError: no luck"
    assert [reason.text.partition(" (")[0] for reason in second.because] == [
        "it was done already: played by run first"
    ]
    assert "played by run first" in answer.state.text


async def test_the_store_could_not_tell_whether_it_is_done() -> None:
    async with GatedStore() as store:
        store.fail = {"done_page", "is_done", "list_done"}
        async with StepRun(store, workflow_id="w") as run:
            with pytest.raises(Exception, match="fails"):
                await run.submit(Step("a", noop))
        store.fail = set()
        (answer,) = (await journal.why(store, "a")).runs
    assert answer.verdict.startswith("failed: StoreError")
    assert lines(*answer.because) == ["the store could not tell whether it was done"]


async def test_a_killed_run_played_more_than_it_could_tell() -> None:
    async with MemoryStore() as store:
        async with StepRun(store, workflow_id="w", run_id="killed", force={"a": "new data"}) as run:
            await run.submit(Step("a", noop))
        await cut(store, "killed", before=b'"step":"a"')
        answer = await journal.why(store, "a")
    (told,) = answer.runs
    assert told.run.outcome == "killed"
    assert told.verdict == "played, as its mark says; the journal ends before that"
    assert lines(*told.because) == ["forced: new data"]
    assert lines(*answer.state.because) == ["forced: new data"]


async def test_a_run_that_ends_while_journals_are_read_is_not_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    async with MemoryStore() as store:
        files = store.journal_files
        async with StepRun(store, workflow_id="w", run_id="r", force=["a"]) as run:
            await store.mark_done("a", {})
            await run.submit(Step("a", noop))  # withdrawn first, so a batch is written
            await anyio.wait_all_tasks_blocked()
            listed = await files.names()
        assert len(listed) == 1

        async def stale(_: object) -> list[str]:
            return listed

        monkeypatch.setattr(story, "lives", lambda _: False)
        monkeypatch.setattr(type(files), "names", stale)
        assert [each.outcome for each in await journal.runs(store)] == ["completed"]
        assert [each.run.outcome for each in (await journal.why(store, "a")).runs] == ["completed"]


async def test_a_run_id_that_is_used_twice() -> None:
    async with MemoryStore() as store:
        for reason in ("new data", None):
            async with StepRun(
                store, workflow_id="w", run_id="nightly", force={"a": reason} if reason else {}
            ) as run:
                await run.submit(Step("a", noop))
        answer = await journal.why(store, "a")
        first = (await journal.runs(store))[-1]
    assert f"run nightly ({first.started:%Y-%m-%d %H:%M:%S}Z)" in answer.state.text
    assert lines(*answer.state.because) == ["forced by the selector 'a', because: new data"]


async def test_a_selector_forces_once() -> None:
    async with MemoryStore() as store:
        async with StepRun(store, workflow_id="w", force=["a"]) as run:
            await run.submit(Step("a", noop))
            await run.submit(Step("b", noop, force_steps_if_executed=["a"]))
            await run.submit(Step("a", noop))
        (answer,) = (await journal.why(store, "a")).runs
    assert lines(*answer.because) == [
        "as a dependent of b, which was played",
        "  it was not done: no journal that is kept tells of a run that played it",
    ]


async def test_a_step_that_was_cancelled() -> None:
    async with MemoryStore() as store:
        with pytest.raises(KeyboardInterrupt):
            async with StepRun(store, workflow_id="w", run_id="r") as run:
                await run.submit(Step("a", interrupt))
        answer = await journal.why(store, "a")
    assert answer.state.text.startswith("it is not done: it was cancelled in run r (")


async def interrupt() -> None:
    raise KeyboardInterrupt


async def test_a_wide_and_deep_chain_is_told_once() -> None:
    async with MemoryStore() as store:
        async with StepRun(store, workflow_id="w", force={"l0": "new data"}) as run:
            for layer in range(30):
                dependents = [f"l{layer + 1}"] if layer < 29 else []
                steps = (Step(f"l{layer}.s{n}", noop, force_steps_if_executed=dependents) for n in range(4))
                await run.submit(Group(*steps))
        answer = await journal.why(store, "l29.s0")
    told = lines(*answer.runs[0].because)
    assert sum("forced by the selector 'l0', because: new data" in line for line in told) == 4
    assert any(line.strip() == "for the reasons told above" for line in told)
    assert len(told) < 4 * 200


class TestNow:
    @pytest.fixture
    async def store(self) -> Any:
        async with MemoryStore() as store:
            async with StepRun(store, workflow_id="w") as run:
                await run.submit(Step("extract", noop, force_steps_if_executed=["transform"]))
                await run.submit(Step("transform", noop, force_steps_if_executed=["report"]))
                await run.submit(Step("report", noop))
            yield store

    async def test_it_is_forced_through_others(self, store: MemoryStore) -> None:
        assert (await journal.why(store, "report")).now.unless == ()
        now = (await journal.why(store, "report", force=["extract"])).now
        assert now.action == "skip"
        (unless,) = now.unless
        assert unless.startswith(
            "transform, as a dependent of extract, which is forced by the selector 'extract', is"
        )
        await store.withdraw(["extract"])
        now = (await journal.why(store, "report")).now
        assert now.unless == (
            "transform, as a dependent of extract, which is not done, is played before it: it is its dependent",
        )

    async def test_what_is_skipped_forces_nothing(self, store: MemoryStore) -> None:
        await store.withdraw(["transform"])
        assert (await journal.why(store, "report")).now.unless
        assert (await journal.why(store, "report", skip=["transform"])).now.unless == ()

    async def test_forcing_beats_skipping(self, store: MemoryStore) -> None:
        await store.withdraw(["transform"])
        now = (await journal.why(store, "report", skip=["report"])).now
        assert (now.action, now.forced, len(now.unless)) == ("skip", True, 1)

    async def test_many_force_it(self, store: MemoryStore) -> None:
        async with StepRun(store, workflow_id="w") as run:
            for number in range(30):
                await run.submit(Step(f"load.s{number}", noop, force_steps_if_executed=["report"]))
            await run.submit(Step("report", noop))
        await store.withdraw([f"load.s{number}" for number in range(15)])
        unless = (await journal.why(store, "report")).now.unless
        assert len(unless) == 11
        assert unless[-1] == "one of 5 more steps is, whose dependent it is as well"
