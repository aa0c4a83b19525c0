"""The waits between attempts, in virtual time: exponential with jitter, settable, cut short by a cancellation."""

import asyncio
import itertools
from typing import Any

import anyio
import pytest
from run_support import run_over

from asyncsteps import ActivityTimeoutError, MemoryStore, StepDefinitionError, activity
from asyncsteps.testing import run_virtually


def attempts_of(**attributes: Any) -> tuple[list[float], type[BaseException]]:
    """When each attempt at an activity that always fails began, and what came of it."""
    at: list[float] = []

    @activity(**attributes)
    async def unlucky() -> None:
        at.append(asyncio.get_running_loop().time())
        raise ValueError("no luck")

    async def main() -> type[BaseException]:
        async with run_over(MemoryStore()) as run:
            try:
                await run.submit(unlucky)
            except Exception as error:  # noqa: BLE001 - its type is what is asked for
                return type(error)
        raise AssertionError("it cannot succeed")

    return at, run_virtually(main())


def test_waits_double_and_are_random_parts_of_that() -> None:
    longest = [min(0.1 * 2**attempt, 30.0) for attempt in range(12)]
    seen: list[list[float]] = []
    for _ in range(20):
        at, _ = attempts_of(retry=12)
        waits = [after - before for before, after in itertools.pairwise(at)]
        assert all(0 <= wait <= most + 1e-9 for wait, most in zip(waits, longest, strict=True))
        seen.append(waits)
    assert len({tuple(waits) for waits in seen}) == 20
    assert max(waits[-1] for waits in seen) > 15


def test_the_wait_is_settable() -> None:
    assert attempts_of(retry=3, retry_wait=0)[0] == [0, 0, 0, 0]
    assert attempts_of(retry=3, retry_wait=lambda attempt: 10 * attempt)[0] == [0, 10, 30, 60]
    at, _ = attempts_of(retry=1, retry_wait=20)
    assert 0 < at[1] <= 20


@pytest.mark.parametrize(
    ("retry_on", "attempts"),
    [
        (ValueError, 3),
        ((KeyError, ValueError), 3),
        (Exception, 3),
        (KeyError, 1),
        (lambda error: "luck" in str(error), 3),
        (lambda error: False, 1),
    ],
)
def test_what_is_retried_is_settable(retry_on: Any, attempts: int) -> None:
    at, raised = attempts_of(retry=2, retry_wait=0, retry_on=retry_on)
    assert (len(at), raised) == (attempts, ValueError)


@pytest.mark.parametrize(
    "attributes",
    [
        {"retry_wait": -1},
        {"retry_wait": "soon"},
        {"retry_wait": float("nan")},
        {"retry_wait": True},
        {"retry_on": "ValueError"},
        {"retry_on": int},
        {"retry_on": (ValueError, KeyboardInterrupt)},
    ],
)
def test_what_is_no_wait_and_tells_no_errors_is_refused(attributes: dict[str, Any]) -> None:
    (name,) = attributes
    with pytest.raises(StepDefinitionError, match=f"{name}=.* is refused"):
        activity(**attributes)


def test_no_slot_is_held_while_it_waits() -> None:
    ended: list[float] = []

    async def main() -> None:
        @activity(retry=1, retry_wait=lambda _: 100)
        async def unlucky() -> None:
            raise ValueError

        async with run_over(MemoryStore(), max_parallel=1) as run, anyio.create_task_group() as tasks:

            async def submit() -> None:
                with pytest.raises(ValueError):  # noqa: PT011 - it has no text
                    await run.submit(unlucky)

            tasks.start_soon(submit)
            await anyio.sleep(1)
            await run.submit(anyio.sleep, 1)
            ended.append(anyio.current_time())

    run_virtually(main())
    assert ended == [2]


@pytest.mark.parametrize("seconds", [5, 500])
def test_a_wait_ends_at_once_when_it_is_cancelled_or_overruns(seconds: float) -> None:
    async def main() -> float:
        @activity(retry=3, retry_wait=lambda _: 100, schedule_to_close_timeout=50)
        async def unlucky() -> None:
            raise ValueError

        async with run_over(MemoryStore()) as run:
            with anyio.move_on_after(seconds):
                with pytest.raises(ActivityTimeoutError, match="schedule_to_close_timeout of 50 s"):
                    await run.submit(unlucky)
        return asyncio.get_running_loop().time()

    assert run_virtually(main()) == min(seconds, 50)
