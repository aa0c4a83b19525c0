"""The events of random histories: each step that was queued has one end, whatever fails or is cancelled."""

import asyncio
from collections import Counter
from typing import Any

import pytest
from simulation import program
from simulation.campaign import failures

from asyncsteps import StepRun, events

_ENDS = (events.StepSkipped, events.StepCompleted, events.StepFailed, events.StepCancelled)


def is_killed() -> bool:
    """Whether the event loop is gone, and what is left of the run is closed."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return True
    return False


class Witness:
    """Holds the events of one run to their rules."""

    def __init__(self) -> None:
        self.open: dict[str, bool] = {}
        self.attempts: Counter[tuple[str | None, str, int]] = Counter()
        self.statuses: Counter[str] = Counter()
        self.began = self.ended = self.killed = False

    def __call__(self, event: events.Event) -> None:
        if self.killed:  # its coroutines are closed, in any order
            return
        assert not self.ended, f"{event.kind} after the end"
        match event:
            case events.RunEnded() if is_killed():
                self.killed = True
            case events.RunStarted():
                assert not self.began
                self.began = True
            case events.StepQueued():
                assert event.step not in self.open, f"{event.step} is queued twice"
                self.open[event.step] = False
            case events.StepStarted():
                assert not self.open[event.step], f"{event.step} starts twice"
                self.open[event.step] = True
            case events.StepDecided():
                self._decided(event)
            case events.AttemptStarted():
                self.attempts[event.step, event.activity, event.attempt] += 1
            case events.AttemptEnded():
                self.attempts[event.step, event.activity, event.attempt] -= 1
            case events.RunEnded():
                self.ended = True
                assert not self.open, f"no end of {list(self.open)}"
                assert not +self.attempts
                assert not -self.attempts
                # A step that is cancelled before it is decided has an event, and no marker that would count.
                assert self.statuses.pop("cancelled", 0) >= event.counts.get("cancelled", 0)
                assert dict(self.statuses) == {
                    name: times for name, times in event.counts.items() if name != "cancelled"
                }
            case _:
                assert self.began

    def _decided(self, event: events.StepDecided) -> None:
        started = self.open[event.step]
        assert started is (event.started is not None)
        self.statuses[event.kind.removeprefix("step.")] += 1
        if isinstance(event, _ENDS):
            del self.open[event.step]


@pytest.mark.parametrize("seeds", [range(20), pytest.param(range(20, 2_000), marks=pytest.mark.long)], ids=str)
def test_each_step_that_was_queued_has_one_end(seeds: range, monkeypatch: pytest.MonkeyPatch) -> None:
    witnesses: list[Witness] = []
    broken: list[BaseException] = []

    class Watched(StepRun):
        def __init__(self, *args: Any, **options: Any) -> None:
            witness = Witness()
            witnesses.append(witness)

            def hear(event: events.Event) -> None:
                try:
                    witness(event)
                except (
                    AssertionError,
                    LookupError,
                ) as error:  # else it would be logged, as whatever a subscriber raises
                    broken.append(error)
                    raise

            super().__init__(*args, on_event=hear, **options)

    monkeypatch.setattr(program, "StepRun", Watched)
    assert list(failures(seeds, Counter())) == []
    assert broken == []
    assert sum(witness.ended for witness in witnesses) > len(seeds) / 2
