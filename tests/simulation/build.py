"""What a history says is to be submitted, made into submittables."""

from collections.abc import Awaitable, Callable, Mapping
from functools import lru_cache
from itertools import pairwise
from typing import Any

from asyncsteps import ActivityTask, Chain, Group, MarkerTask, SignalTask, Step, WaitForSignal
from asyncsteps._tasks.activity import Activity
from asyncsteps._tasks.attributes import ActivityAttributes
from asyncsteps._tasks.submittable import Submittable
from simulation.facts import Attempts
from simulation.spec import Act, Item, Many, Mark, Ref, Select, Send, StepDef, Wait
from simulation.threads import ThreadBody

PlayAct = Callable[[Act, str | None, Attempts], Awaitable[object]]
"""Plays an attempt at an activity of a step (None: of none)."""


@lru_cache(maxsize=4096)
def _attributes(act: Act) -> ActivityAttributes:
    return ActivityAttributes(
        name=f"act{act.ident}",
        retry=act.retry,
        retry_wait=act.retry_wait,
        start_to_close_timeout=act.timeout,
        schedule_to_start_timeout=act.starts_within,
        schedule_to_close_timeout=act.closes_within,
        raises_on_failure=False if act.quiet else None,
    )


class Builder:
    """Makes submittables.

    Args:
        steps: The steps by name.
        play: Plays an activity.
        breaks: Told of a broken rule.
    """

    def __init__(self, steps: Mapping[str, StepDef], play: PlayAct, breaks: Callable[[str, str], object]) -> None:
        self._steps = steps
        self._play = play
        self._breaks = breaks
        self._activities: dict[tuple[int, str | None, int | None], Activity[..., Any]] = {}

    def make(self, item: Item, owner: str | None) -> Submittable:
        match item:
            case Act():
                return self._make_act(item, owner)
            case Ref():
                return self._make_step(item)
            case Many():
                return self._make_many(item, owner)
            case Send():
                return SignalTask(item.name)
            case Wait():
                return WaitForSignal(item.name)
            case Mark():
                return MarkerTask(item.name, {"of": owner})
            case Select():
                raise TypeError(item)

    def _make_step(self, ref: Ref) -> Submittable:
        step = self._steps.get(ref.name)
        if step is None:
            return MarkerTask("gone")
        return Step(
            step.name,
            self.make(step.body, step.name),
            force=ref.force,
            activities_if_step_already_done=self._make_act(step.alternative, None) if step.alternative else None,
            emit_signal=step.emits,
            force_steps_if_executed=step.deps,
            bubbles_exception_on_failure=step.bubbles,
            save_result=step.saves,
        )

    def _make_many(self, item: Many, owner: str | None) -> Submittable:
        members = [self.make(member, owner) for member in item.members]
        if item.send_result:
            for number, (before, member) in enumerate(pairwise(item.members), start=1):
                if isinstance(member, Act):
                    members[number] = self._make_act(member, owner, sent_by=before)
        if item.kind == "group":
            return Group(*members, max_parallel=item.max_parallel, bubbles_exception_on_failure=item.bubbles)
        return Chain(
            *members,
            send_result=item.send_result,
            break_on_failure=item.break_on_failure,
            bubbles_exception_on_failure=item.bubbles,
        )

    def _make_act(self, act: Act, owner: str | None, *, sent_by: Item | None = None) -> ActivityTask[Any]:
        sender = sent_by.ident if isinstance(sent_by, Act) else None
        activity = self._activities.get((act.ident, owner, sender))
        if activity is None:
            activity = self._activities[act.ident, owner, sender] = self._activity(act, owner, sender)
        return ActivityTask(activity, Attempts())

    def _activity(self, act: Act, owner: str | None, sender: int | None) -> Activity[..., Any]:
        def check(sent: tuple[Any, ...]) -> None:
            if sender is not None and sent[0][0] != sender:
                self._breaks("result", f"activity {act.ident} was given {sent} after {sender}")

        async def work(attempts: Attempts, *sent: object) -> object:
            check(sent)
            return await self._play(act, owner, attempts)

        def thread(attempts: Attempts, *sent: object) -> object:
            check(sent)
            return ThreadBody(lambda: self._play(act, owner, attempts))

        return Activity(thread if act.thread else work, _attributes(act))
