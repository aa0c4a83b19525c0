"""Whatever a server does, each use of a store ends within the store's timeout, 60 seconds unless given.

In virtual time, before a server that answers nothing itself: every fault is the proxy's.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from servers import Answer, Cut, Delay, Drip, Fault, FaultProxy, Hold, Request, Rule, error_answer, slow_down
from virtual_time import run_virtually

from asyncsteps import Step, StepRun, activity
from asyncsteps._errors import StoreError
from asyncsteps.store import StepStore, open_store

RECORD = {"run_id": "r1"}
PAGE = (
    '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><IsTruncated>{more}</IsTruncated>{token}'
    "<KeyCount>1</KeyCount><Contents><Key>p/{key}</Key></Contents></ListBucketResult>"
)


def page(key: str, *, token: str = "") -> Answer:
    more = f"<NextContinuationToken>{token}</NextContinuationToken>" if token else ""
    return Answer(200, PAGE.format(key=key, more=str(bool(token)).lower(), token=more).encode())


@activity
async def play() -> None: ...


async def ask_in_a_run(store: StepStore) -> None:
    async with StepRun(store, workflow_id="w") as run:
        await run.submit(Step("a", play, bubbles_exception_on_failure=True))


async def ask_for_dependents(store: StepStore) -> None:
    async with StepRun(store, workflow_id="w") as run:
        step = Step("a", play, force_steps_if_executed=["b"], bubbles_exception_on_failure=True)
        await run.submit(step)


USES: dict[str, Callable[[StepStore], Awaitable[object]]] = {
    "is it done": lambda store: store.is_done("a"),
    "record": lambda store: store.read_done("a"),
    "mark": lambda store: store.mark_done("a", RECORD),
    "first mark": lambda store: store.mark_done("a", RECORD, first_wins=True),
    "page": lambda store: store.done_page("b"),
    "listing": lambda store: store.list_done(),
    "listing below": lambda store: store.list_done("a"),
    "withdrawal": lambda store: store.withdraw(["a"]),
    "large withdrawal": lambda store: store.withdraw(f"n{n}" for n in range(1000)),
    "a run's question": ask_in_a_run,
}
FAULTS: dict[str, Callable[[], Fault]] = {
    "stalls": lambda: Hold(asyncio.Event()),
    "drips": lambda: Delay(0.7, error_answer(500, "InternalError")),
    "cuts": Cut,
    "cuts late": lambda: Cut(after_bytes=0),
    "throttles": slow_down,
    "throttles late": lambda: Delay(20, slow_down()),
    "fails": lambda: error_answer(500, "InternalError"),
    "fails late": lambda: Delay(13, error_answer(500, "InternalError")),
    "is no S3": lambda: Delay(25, Answer(200, b"<html/>")),
}


class Unanswering(FaultProxy):
    """A proxy before no server."""

    async def _forward(self, request: Request) -> bytes:
        return b"HTTP/1.1 204 No Content\r\nETag: x\r\nIsTruncated: x\r\n\r\n"


async def seconds_until_given_up(use: str, rule: Rule, **options: Any) -> tuple[float, str]:
    """Return how long it took until the use failed, and its error's text."""
    async with Unanswering(0) as proxy:
        proxy.rule = rule
        async with open_store("s3://bucket/p", endpoint_url=proxy.endpoint, **options) as store:
            start = asyncio.get_running_loop().time()
            with pytest.raises(StoreError) as caught:
                try:
                    await USES[use](store)
                except Exception as error:
                    raise error.__cause__ if isinstance(error.__cause__, StoreError) and not isinstance(error, StoreError) else error
            return asyncio.get_running_loop().time() - start, str(caught.value)


@pytest.fixture(autouse=True)
def longest_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("botocore.retryhandler.random.random", lambda: 1.0)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("use", USES)
def test_it_gives_up_within_a_minute(use: str, fault: str) -> None:
    make = FAULTS[fault]
    seconds, text = run_virtually(seconds_until_given_up(use, lambda _: make()))
    print("@@", use, "|", fault, "|", round(seconds, 1), "|", text[:150])
    assert seconds <= 60
    assert "attempt" in text
