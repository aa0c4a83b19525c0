"""The story of a run that may go on, put together from the events that its subscribers get."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from asyncsteps._events.base import Event
from asyncsteps._events.of_activities import StepRetrying
from asyncsteps._events.of_runs import EventsDropped, RunEnded, RunStarted
from asyncsteps._events.of_steps import StepDecided, StepStarted
from asyncsteps.report._story import RunStory, durations


def live_story(events: Iterable[Event]) -> RunStory:
    """Return the story of one run, as far as its events tell it; one that goes on is told until now.

    Args:
        events: The events, in order; of a run that goes on, those so far.

    Raises:
        ValueError: When there is none.
    """
    told = list(events)
    story = RunStory.of(_lines(told), outcome="running")
    if story.outcome != "running":
        return story
    started = {event.step: event.at for event in told if isinstance(event, StepStarted)}
    spans = (replace(span, started=started.get(span.step)) if span.ended is None else span for span in story.spans)
    return replace(story, spans=tuple(spans), ended=max(story.ended, datetime.now(UTC)))


def _lines(events: Iterable[Event]) -> Iterator[dict[str, Any]]:
    """The events, as the lines of a journal tell of them."""
    for event in events:
        told = {**event.as_dict(), "event": event.kind.partition(".")[2], "run": event.run_id}
        told["workflow"] = event.workflow_id
        match event:
            case RunStarted():
                yield {name: each for name, each in told.items() if name not in {"run_id", "workflow_id"}}
            case EventsDropped():
                yield told | {"event": "lost"}
            case StepDecided():
                yield told | durations(event.queue_seconds, event.seconds)
            case RunEnded() | StepRetrying():
                yield told
            case _:
                yield {"event": event.kind, "at": told["at"]}
