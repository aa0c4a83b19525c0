"""The story of a run as its events tell it: that of its journal, and of a run that goes on."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from run_support import RECORD, fails, noop, run_over

from asyncsteps import Group, MemoryStore, Step, StepRun, activity, current_step, events, journal
from asyncsteps.report import RunStory, StepSpan, live_story, page


@activity(retry=1, retry_wait=0)
async def second() -> None:
    if current_step().attempt == 1:
        raise ValueError("not yet")


def sorted_spans(story: RunStory) -> list[tuple[StepSpan, int]]:
    """The spans that ran, by name: an attempt's own time differs by microseconds, and ends are told in batches."""
    spans = sorted((span for span in story.spans if span.started is not None), key=lambda span: span.step)
    return [(replace(span, attempts=()), len(span.attempts)) for span in spans]


async def test_the_events_of_a_run_tell_what_its_journal_tells() -> None:
    heard: list[events.Event] = []
    store = MemoryStore({"done": RECORD})
    async with store:
        options: dict[str, Any] = {"run_id": "r", "on_event": heard.append, "force": {"a": "asked for"}}
        async with StepRun(store, workflow_id="w", **options) as run:
            await run.submit(Step("a", noop, force_steps_if_executed=["done"]))
            await run.submit(Group(Step("again", second), Step("wrong", fails), Step("done", noop)))
            await run.submit(Step("done", noop))
        _, lines = await journal.story(store, "r")
        written = RunStory.of(lines)
    live = live_story(heard)
    assert sorted_spans(live) == sorted_spans(written)
    assert (live.run_id, live.workflow_id, live.outcome) == ("r", "w", "failed")
    assert [span.status for span in live.spans] == ["completed", "completed", "failed", "completed", "skipped"]
    assert live.about["force"] == [["a", "asked for"]]


async def test_a_run_that_goes_on_is_told_so_far() -> None:
    heard: list[events.Event] = []
    async with run_over(MemoryStore(), on_event=heard.append) as run:
        await run.submit(Step("a", noop))
        began, goes_on = asyncio.Event(), asyncio.Event()

        async def waits() -> None:
            began.set()
            await goes_on.wait()

        task = asyncio.create_task(run.submit(Step("b", waits)))
        await began.wait()
        story, last = live_story(heard), heard[-1].at
        goes_on.set()
        await task
    assert [(span.step, span.status) for span in story.spans] == [("a", "completed"), ("b", "scheduled")]
    assert [span.started is not None for span in story.spans] == [True, True]
    assert story.spans[1].ended is None
    assert story.ended >= last
    assert story.notes == ("No end is recorded: the run goes on.",)
    assert '"outcome":"running"' in page(story)


def test_without_an_event_there_is_no_story() -> None:
    with pytest.raises(ValueError, match="nothing to tell"):
        live_story([])
