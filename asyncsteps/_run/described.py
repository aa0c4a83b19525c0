"""What a done mark tells of how its step was played."""

import functools
import socket

from asyncsteps._journal.texts import shortened
from asyncsteps._tasks.activity import ActivityTask
from asyncsteps._tasks.canvas import Group
from asyncsteps._tasks.step import Step
from asyncsteps._tasks.submittable import Submittable

_NAMED = 2
"""How many members of a chain or a group are named."""


@functools.cache
def host() -> str:
    """The name of this machine."""
    return socket.gethostname()


@functools.lru_cache(maxsize=1_000)
def _told(name: str) -> str:
    return shortened(name)


def activity_of(played: Submittable) -> str:
    """Return in a few words what a step plays, without arguments: an activity's name, ``chain of 3 (a, b, …)``."""
    if isinstance(played, ActivityTask):
        return _told(played.name)
    if isinstance(played, Step):
        return f"step {played.step_name}"
    if isinstance(played, Group):
        members = played.activities
        named = [activity_of(each) for each in members[:_NAMED]] + ["…"] * (len(members) > _NAMED)
        return shortened(f"{played.kind} of {len(members)} ({', '.join(named)})")
    return type(played).__name__
