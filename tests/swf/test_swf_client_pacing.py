"""The SWF client's polling rate, on a fake clock."""

import anyio
import pytest

from asyncsteps.swf._client.pacing import PollLimits, PollRate


class Clock:
    """A clock that stands still, and records what would have slept until when."""

    def __init__(self) -> None:
        self.now = 100.0
        self.woken: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.woken.append(round(self.now + seconds, 9))


async def test_turns_are_evenly_spaced_and_first_come_first_served() -> None:
    clock = Clock()
    rate = PollRate(10, clock=clock, sleep=clock.sleep)
    for _ in range(4):
        await rate.turn()
    assert clock.woken == [100.1, 100.2, 100.3]  # the first one did not wait
    clock.now = 200
    await rate.turn()
    assert clock.woken == [100.1, 100.2, 100.3]  # time that nobody used is no credit: no bursts
    await rate.turn()
    assert clock.woken[-1] == 200.1


async def test_throttling_halves_the_rate_once_a_second_down_to_a_floor() -> None:
    clock = Clock()
    rate = PollRate(64, clock=clock, sleep=clock.sleep)
    assert rate.throttled()
    assert not rate.throttled()  # seen by many at once
    assert rate.per_second == 32
    for _ in range(10):
        clock.now += 1
        assert rate.throttled()
    assert rate.per_second == 1


async def test_answers_win_the_rate_back_and_never_more() -> None:
    rate = PollRate(50, clock=Clock())
    rate.throttled()
    rate.answered()
    assert rate.per_second == 26
    for _ in range(100):
        rate.answered()
    assert rate.per_second == 50


async def test_a_cancelled_turn_leaves_the_others_theirs() -> None:
    rate = PollRate(1000)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await rate.turn()
        await rate.turn()
    await rate.turn()
    assert scope.cancelled_caught


@pytest.mark.parametrize(
    ("interval", "news", "following"),
    [(8.0, True, 1.0), (1.0, False, 1.5), (9.0, False, 10.0), (10.0, False, 10.0)],
)
def test_news_shorten_the_interval_and_quiet_lengthens_it(interval: float, news: bool, following: float) -> None:
    limits = PollLimits(per_second=1, shortest=1, longest=10, patience=0)
    assert limits.next_interval(interval, news=news) == following
