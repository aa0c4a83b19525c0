"""The signals of one run: what was sent, and who waits."""

import anyio

from asyncsteps._tasks.signals import Signal


class Signals:
    """The signals that a run has sent; who waits for one that was sent before goes on at once."""

    def __init__(self) -> None:
        self._sent: dict[str, Signal] = {}
        self._awaited: dict[str, anyio.Event] = {}

    def send(self, signal: Signal) -> None:
        """Send a signal, to those that wait for its name and those that will."""
        self._sent[signal.name] = signal
        awaited = self._awaited.pop(signal.name, None)
        if awaited is not None:
            awaited.set()

    def copy(self) -> "Signals":
        """Signals of their own, with all that was sent so far."""
        signals = Signals()
        signals._sent.update(self._sent)
        return signals

    def sent(self, name: str) -> Signal | None:
        """The last signal of that name, or None."""
        return self._sent.get(name)

    async def wait(self, name: str) -> Signal:
        """The last signal of that name, once there is one."""
        if name not in self._sent:
            await self._awaited.setdefault(name, anyio.Event()).wait()
        return self._sent[name]
