"""Whatever a server does, each use of a store ends within the store's timeout, 60 seconds unless given.

In virtual time, before a server that answers nothing itself: every fault is the proxy's.
"""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import aioboto3
import pytest
from servers import Answer, Cut, Delay, Drip, Fault, FaultProxy, Hold, Request, Rule, error_answer, slow_down

from asyncsteps import Step, StepRun, activity
from asyncsteps._errors import (
    EndpointUnreachableError,
    ListingError,
    StepFailedError,
    StoreError,
    ThrottledError,
)
from asyncsteps.store import S3Store, StepStore, open_store
from asyncsteps.store._budget import one_budget
from asyncsteps.testing import run_virtually

RECORD = {"run_id": "r1"}
LONGEST = 60
PAGE = (
    "<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>more</NextContinuationToken>"
    "<KeyCount>{count}</KeyCount>{contents}</ListBucketResult>"
)


def page(*keys: str, token: str | None = "more") -> Answer:
    """Make a page of keys that more follow, unless there is no token."""
    contents = "".join(f"<Contents><Key>p/{key}</Key></Contents>" for key in keys)
    whole = PAGE.format(contents=contents, count=len(keys)).replace("more", token or "")
    return Answer(200, (whole if token else whole.replace("true", "false")).encode())


@activity
async def play() -> None: ...


async def ask_in_a_run(store: StepStore) -> None:
    async with StepRun(store, workflow_id="w", journal=False) as run:
        await run.submit(Step("a", play, bubbles_exception_on_failure=True))


async def ask_for_dependents(store: StepStore) -> None:
    async with StepRun(store, workflow_id="w", journal=False) as run:
        step = Step("a", play, force_steps_if_executed=["b"], bubbles_exception_on_failure=True)
        await run.submit(step)


Use = Callable[[StepStore], Awaitable[object]]

USES: dict[str, Use] = {
    "is it done": lambda store: store.is_done("a"),
    "record": lambda store: store.read_done("a"),
    "mark": lambda store: store.mark_done("a", RECORD),
    "first mark": lambda store: store.mark_done("a", RECORD, first_wins=True),
    "page": lambda store: store.done_page("b"),
    "listing": lambda store: store.list_done(),
    "names below": lambda store: store.list_done("a"),
    "withdrawal": lambda store: store.withdraw(["a"]),
    "large withdrawal": lambda store: store.withdraw(f"n{n}" for n in range(1000)),
    "a run's question": ask_in_a_run,
}
Unreachable, Throttled = EndpointUnreachableError, ThrottledError
FAULTS: dict[str, tuple[Callable[[], Fault], set[type[StoreError]]]] = {
    "stalls": (lambda: Hold(asyncio.Event()), {Unreachable}),
    "drips": (lambda: Drip(1), {Unreachable}),
    "cuts": (Cut, {Unreachable}),
    "cuts late": (lambda: Cut(after_bytes=0), {Unreachable}),
    "throttles": (slow_down, {Throttled}),
    "throttles late": (lambda: Delay(20, slow_down()), {Throttled, Unreachable}),
    "fails": (lambda: error_answer(500, "InternalError"), {StoreError}),
    "fails late": (lambda: Delay(13, error_answer(500, "InternalError")), {StoreError, Unreachable}),
    "is no S3": (lambda: Answer(200, b"<html/>"), {Unreachable}),
    "is no S3, late": (lambda: Delay(25, Answer(200, b"<html/>")), {Unreachable}),
}
PAGES_OF_THEIR_OWN = {"the names below, after the name itself", "the second page"}
"""A listing has a minute for each page, with all the attempts at it: it may have any number of pages."""


class Unanswering(FaultProxy):
    """A proxy before no server."""

    async def _forward(self, request: Request) -> bytes:
        return b"HTTP/1.1 503 Nobody Is Patient Enough For This\r\nContent-Length: 1000\r\n\r\n" + b" " * 1000


async def given_up(use: Use, rule: Rule, *, direct: bool = False, **options: Any) -> tuple[float, StoreError]:
    """Return how long it took until the use failed, and its error; ``direct``: with requests past botocore."""
    loop = asyncio.get_running_loop()
    async with (
        Unanswering(0) as proxy,
        open_store("s3://bucket/p", **{"endpoint_url": proxy.endpoint, **options}) as store,
    ):
        if direct:
            proxy.rule = lambda _: THERE
            assert await store.is_done("before")
            assert isinstance(store, S3Store)
            assert store.transport == "direct"
        proxy.rule = rule
        start = loop.time()
        with pytest.raises((StoreError, StepFailedError)) as caught:
            await use(store)
        error = caught.value.__cause__ if isinstance(caught.value, StepFailedError) else caught.value
        assert isinstance(error, StoreError)
        return loop.time() - start, error


def first(*faults: Fault, then: Callable[[], Fault]) -> Rule:
    """Make a rule: the faults one after the other, then the last one for ever."""
    left = list(faults)
    return lambda _: left.pop(0) if left else then()


@pytest.fixture(autouse=True)
def longest_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("botocore.retryhandler.random.random", lambda: 1.0)
    monkeypatch.setattr("random.uniform", lambda _, high: high)


@pytest.fixture(autouse=True)
def no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """aiobotocore's newest release reads certificates in a thread, whose time is not virtual."""

    async def in_the_loop(func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return func(*args, **kwargs)

    monkeypatch.setattr("asyncio.to_thread", in_the_loop)


@pytest.mark.parametrize("direct", [False, True], ids=["by botocore", "direct"])
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("use", USES)
def test_it_gives_up_within_a_minute_and_says_after_how_many_attempts(use: str, fault: str, direct: bool) -> None:
    make, expected = FAULTS[fault]
    seconds, error = run_virtually(given_up(USES[use], lambda _: make(), direct=direct))
    assert seconds <= LONGEST
    assert re.search(r"after \d+ attempts?", str(error))
    assert type(error) in expected


MISSING = Answer(404)
THERE = Answer(200, headers={"ETag": "e"})
LATE = 25

IN_PARTS: dict[str, tuple[Use, list[Fault]]] = {
    "the bucket, after a miss": (USES["is it done"], [Delay(LATE, MISSING)]),
    "the bucket, after a record is missed": (USES["first mark"], [Delay(LATE, MISSING)]),
    "the first conditional put": (
        USES["first mark"],
        [Delay(LATE, MISSING), Delay(LATE, THERE), Delay(5, MISSING)],
    ),
    "whether conditions are honoured": (
        USES["first mark"],
        [Delay(LATE, MISSING), THERE, MISSING, Delay(LATE, error_answer(501, "NotImplemented"))],
    ),
    "the deletion": (USES["withdrawal"], [Delay(LATE, THERE)]),
    "the deletion, after one without confirmation": (
        USES["withdrawal"],
        [Delay(LATE, THERE), Delay(LATE, Answer(200, b"<DeleteResult/>"))],
    ),
    "the names below, after the name itself": (USES["names below"], [Delay(LATE, THERE)]),
    "the second page": (USES["listing"], [Delay(LATE, page("a"))]),
    "a run's listing of dependents": (ask_for_dependents, [page("aa"), page("b.a")]),
}


@pytest.mark.parametrize("direct", [False, True], ids=["by botocore", "direct"])
@pytest.mark.parametrize(
    "fault",
    ["stalls", "throttles late", *(pytest.param(fault, marks=pytest.mark.long) for fault in ("drips", "fails"))],
)
@pytest.mark.parametrize("use", IN_PARTS)
def test_what_takes_several_requests_has_one_minute_for_all(use: str, fault: str, direct: bool) -> None:
    call, answers = IN_PARTS[use]
    make, expected = FAULTS[fault]
    seconds, error = run_virtually(given_up(call, first(*answers, then=make), direct=direct))
    answered = sum(answer.seconds for answer in answers if isinstance(answer, Delay))
    assert seconds <= LONGEST + (answered if use in PAGES_OF_THEIR_OWN else 0)
    assert type(error) in {*expected, ListingError}


def test_pages_without_keys_do_not_go_on_for_ever() -> None:
    seconds, _ = run_virtually(given_up(USES["page"], lambda _: Delay(1, page())))
    assert seconds <= LONGEST


def test_a_runs_listing_of_dependents_has_a_minute_for_each_page() -> None:
    """However many there are: 10 of them, one after the other, 20 seconds each; the name itself is asked first."""
    asked: Iterator[Fault] = iter([page("aa"), page("b"), page("b.0")])
    listed: Iterator[Fault] = (Delay(20, page(f"b.{n}", token=f"after {n}" if n < 9 else None)) for n in range(10))

    def answer(request: Request) -> Fault:
        if request.method == "HEAD":
            return THERE
        if request.method == "POST":
            return Answer(200, b"<DeleteResult/>")
        return next(listed if request.query["prefix"] == "p/b." else asked)

    async def main() -> float:
        loop = asyncio.get_running_loop()
        async with Unanswering(0) as proxy:
            proxy.rule = answer
            async with open_store("s3://bucket/p", endpoint_url=proxy.endpoint, concurrency=1) as store:
                start = loop.time()
                with pytest.raises(StoreError, match=r"not withdrawn: 'b'.* and 6 more"):
                    await ask_for_dependents(store)
                return loop.time() - start

    assert run_virtually(main()) >= 200


def test_what_waits_for_its_turn_has_its_own_minute() -> None:
    """A long queue fails nothing: 30 marks, one after the other, 10 seconds each."""

    async def main() -> float:
        loop = asyncio.get_running_loop()
        async with Unanswering(0) as proxy:
            proxy.rule = lambda _: Delay(10, THERE)
            async with open_store("s3://bucket/p", endpoint_url=proxy.endpoint, concurrency=1) as store:
                start = loop.time()
                await asyncio.gather(*(store.mark_done(f"s{n}", RECORD) for n in range(30)))
                return loop.time() - start

    assert run_virtually(main()) >= 300


def test_credentials_that_do_not_come_are_given_up_too() -> None:
    @contextlib.asynccontextmanager
    async def hanging(*_: object, **__: object) -> AsyncIterator[None]:
        await asyncio.Event().wait()
        yield

    session: Any = aioboto3.Session()
    session.client = hanging
    seconds, error = run_virtually(given_up(USES["mark"], lambda _: None, session=session))
    assert seconds <= LONGEST
    assert "after 0 attempts" in str(error)


def test_a_name_that_is_missed_is_no_bucket_that_is_missing() -> None:
    """Credentials expire just then, and do not come: nothing was asked about the bucket."""
    calls: list[str] = []

    async def main() -> None:
        async with Unanswering(0) as proxy:
            proxy.rule = lambda _: MISSING
            async with open_store("s3://bucket/p", endpoint_url=proxy.endpoint) as store:
                client = await store._client._make()  # type: ignore[attr-defined]

                async def hang(*, model: Any, **_: object) -> None:
                    calls.append(model.name)
                    if model.name == "HeadBucket":
                        await asyncio.Event().wait()

                client.meta.events.register("provide-client-params.s3", hang)
                with one_budget(retried=True), pytest.raises(EndpointUnreachableError, match="head_bucket"):
                    await store.is_done("a")

    run_virtually(main())
    assert calls == ["HeadObject", "HeadBucket"]


@pytest.mark.parametrize("use", USES)
def test_the_timeout_is_the_stores(use: str) -> None:
    seconds, _ = run_virtually(given_up(USES[use], lambda _: Hold(asyncio.Event()), timeout=6))
    assert 1 < seconds <= 6
