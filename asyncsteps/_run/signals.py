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

    def __len__(self) -> int:
        """How many names are waited for."""
        return len(self._waiters)

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
            waiters = self._waiters.setdefault(name, Waiters(self._lifetime))
            try:
                await waiters.wait()
            finally:
                if not waiters and self._waiters.get(name) is waiters:
                    del self._waiters[name]
        return self.sent[name]

    def give_up(self) -> None:
        """End the waits for one signal, that which was waited for first: nothing is left that could send it.

        What waited may, at its end, send what others wait for: those are ended when nothing is left again.
        """
        name = next(iter(self._waiters))
        logger.warning("the run ends, and nothing has sent the signal %r that it waits for", name)
        self._waiters.pop(name).wake(
            RunClosedError(f"the run has ended, and nothing has sent the signal {name!r}")
        )
