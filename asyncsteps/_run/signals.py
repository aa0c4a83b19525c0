"""The signals of one run: what was sent, and who waits."""

import logging

from asyncsteps._errors import RunClosedError
from asyncsteps._run.lifetime import Lifetime, Waiters
from asyncsteps._tasks.signals import Signal

logger = logging.getLogger("asyncsteps")


class Signals:
    """The signals that a run has sent; a wait for one that was sent before ends at once.

    Args:
        lifetime: The lifetime of the run.
        sent: What was sent before, by name.
    """

    def __init__(self, lifetime: Lifetime, sent: dict[str, Signal] | None = None) -> None:
        self.sent = dict(sent or {})
        self._lifetime = lifetime
        self._waiters: dict[str, Waiters] = {}

    def send(self, signal: Signal) -> None:
        """Send a signal, to those that wait for its name and to those that will."""
        self.sent[signal.name] = signal
        waiters = self._waiters.pop(signal.name, None)
        if waiters is not None:
            waiters.wake()

    async def wait(self, name: str) -> Signal:
        """Wait until a signal of that name is sent, and return the last one.

        Raises:
            RunClosedError: When the run ends and nothing is left that could send it.
        """
        if name not in self.sent:
            await self._waiters.setdefault(name, Waiters(self._lifetime)).wait()
        return self.sent[name]

    def give_up(self) -> bool:
        """End the waits for one signal, since nothing is left that could send it; return whether there were any.

        What waited may, at its end, send what others wait for: those are ended when nothing is left again.
        """
        name = next((name for name, waiters in self._waiters.items() if len(waiters)), None)
        if name is None:
            return False
        logger.warning("the run ends, and nothing has sent the signal %r that it waits for", name)
        self._waiters.pop(name).wake(
            RunClosedError(f"the run has ended, and nothing has sent the signal {name!r}")
        )
        return True
