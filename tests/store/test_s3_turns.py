"""Turns to send a request."""

import asyncio

import pytest

from asyncsteps.store._s3.turns import Turns


async def waiting(turns: Turns, count: int) -> list[asyncio.Task[None]]:
    tasks = [asyncio.create_task(turns.wait()) for _ in range(count)]
    await asyncio.sleep(0)
    return tasks


async def given(tasks: list[asyncio.Task[None]]) -> list[bool]:
    await asyncio.sleep(0)
    return [task.done() and not task.cancelled() for task in tasks]


async def test_they_are_given_to_who_has_waited_longest() -> None:
    turns = Turns(2)
    assert [turns.take() for _ in range(3)] == [True, True, False]
    tasks = await waiting(turns, 3)
    turns.give_back()
    assert await given(tasks) == [True, False, False]
    assert not turns.take()
    turns.give_back()
    turns.give_back()
    assert await given(tasks) == [True, True, True]
    assert turns.taken == 2


async def test_more_may_be_allowed_and_fewer() -> None:
    turns = Turns(1)
    assert turns.take()
    tasks = await waiting(turns, 3)
    turns.allow(3)
    assert await given(tasks) == [True, True, False]
    turns.allow(1)
    turns.give_back()
    turns.give_back()
    assert await given(tasks) == [True, True, False]
    turns.give_back()
    assert await given(tasks) == [True, True, True]
    assert turns.taken == 1


@pytest.mark.parametrize("after_it_was_given", [False, True])
async def test_who_is_cancelled_takes_none(after_it_was_given: bool) -> None:
    turns = Turns(1)
    assert turns.take()
    first, second = tasks = await waiting(turns, 2)
    if after_it_was_given:
        turns.give_back()
        first.cancel()
    else:
        first.cancel()
        await asyncio.sleep(0)
        turns.give_back()
    assert await given(tasks) == [False, False] if after_it_was_given else [False, True]
    await second
    assert first.cancelled()
    assert turns.taken == 1
    turns.give_back()
    assert turns.take()
