"""A run's answers to "is this name done?": right, as of their fetch, and at the cost of what is touched."""

from bisect import bisect_right
from collections.abc import Iterable
from typing import Any, cast

import anyio
import pytest
from anyio.lowlevel import checkpoint
from hypothesis import given
from hypothesis import strategies as st

from asyncsteps._errors import AccessDeniedError, EndpointUnreachableError, StoreError
from asyncsteps._plan.names import matches
from asyncsteps._run import done_cache
from asyncsteps._run.done_cache import DoneCache
from asyncsteps.store._protocol import DonePage, StepStore


class PagedStore:
    """Answers as S3 does, in pages, and counts the requests."""

    def __init__(self, names: Iterable[str], *, page_size: int = 1000) -> None:
        self.names = sorted(names)
        self.page_size = page_size
        self.pages = 0
        self.listings: list[str] = []
        self.under_way = 0
        self.most_under_way = 0
        self.gate: anyio.Event | None = None
        self.failures = 0
        self.error: type[StoreError] = EndpointUnreachableError
        self.bad: str | None = None

    async def done_page(self, start_after: str = "") -> DonePage:
        self.pages += 1
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            start = bisect_right(self.names, start_after)
            names = tuple(self.names[start : start + self.page_size])
            last = start + self.page_size >= len(self.names)
            await checkpoint()
            if self.gate is not None:
                await self.gate.wait()
            if self.failures:
                self.failures -= 1
                raise self.error("cut")
            if self.bad is not None and start_after < self.bad <= (names[-1] if names else self.bad):
                raise EndpointUnreachableError("cut")
            return DonePage(names, None if last else names[-1])
        finally:
            self.under_way -= 1

    async def list_done(self, under: str = "*", **_: Any) -> list[str]:
        self.listings.append(under)
        await checkpoint()
        return [name for name in self.names if matches(under, name)]


def done_steps(store: PagedStore) -> DoneCache:
    return DoneCache(cast("StepStore", store))


def numbered(count: int, *, every: int = 1) -> list[str]:
    return [f"step.{number:06d}" for number in range(0, count * every, every)]


async def ask_together(done: DoneCache, names: Iterable[str]) -> dict[str, bool]:
    answers: dict[str, bool] = {}

    async def ask(name: str) -> None:
        answers[name] = await done.is_done(name)

    async with anyio.create_task_group() as tasks:
        for name in names:
            tasks.start_soon(ask, name)
    return answers


async def test_sequential_names_cost_a_request_a_thousand() -> None:
    store = PagedStore(numbered(50_000))
    done = done_steps(store)
    for name in numbered(5_000):
        assert await done.is_done(name)
    assert store.pages == 5


async def test_sequential_names_asked_together_cost_about_a_request_a_thousand() -> None:
    store = PagedStore(numbered(50_000))
    answers = await ask_together(done_steps(store), numbered(10_000))
    assert all(answers.values())
    assert store.pages <= 20


async def test_scattered_names_cost_at_most_one_request_each_and_go_side_by_side() -> None:
    store = PagedStore(numbered(300_000))
    wanted = [f"step.{number:06d}" for number in range(500, 300_000, 3_000)]
    answers = await ask_together(done_steps(store), wanted)
    assert all(answers.values())
    assert store.pages <= len(wanted)
    assert store.most_under_way > 8


async def test_an_empty_store_is_asked_once() -> None:
    store = PagedStore([])
    answers = await ask_together(done_steps(store), numbered(1_000))
    assert not any(answers.values())
    assert store.pages == 1


async def test_one_name_asked_many_times_at_once_is_one_request() -> None:
    store = PagedStore(numbered(5_000))
    done = done_steps(store)
    async with anyio.create_task_group() as tasks:
        for _ in range(100):
            tasks.start_soon(done.is_done, "step.000042")
    assert store.pages == 1


async def test_own_marks_and_withdrawals_are_seen_at_once() -> None:
    store = PagedStore(["a", "b.c"])
    done = done_steps(store)
    done.marked("b.d")
    done.withdrawn(["a"])
    assert not await done.is_done("a")
    assert await done.is_done("b.d")
    assert await done.matching(["*"]) == ["b.c", "b.d"]
    assert await done.matching(["b"]) == ["b.c", "b.d"]


@pytest.mark.parametrize("selector", ["=b", "=b.c", "=x", "==x", "=a", "=zz"])
@pytest.mark.parametrize("page", [1, 2, 3, 100])
async def test_exact_selectors_match_the_same_names_as_in_a_listing(selector: str, page: int) -> None:
    names = ["=x", "=x.y", "a.b", "b", "b.c", "b.c.d", "x", "x.y"]
    store = PagedStore(names, page_size=page)
    done = done_steps(store)
    expected = [name for name in names if matches(selector, name)]
    for _ in range(2):  # as it is fetched, and as it is known
        assert await done.matching([selector]) == expected
    assert [name for name in [*names, "a", "zz"] if await done.is_done(name)] == names
    assert await done.matching(["*"]) == names


async def test_an_answer_stands_until_it_is_forgotten() -> None:
    store = PagedStore([])
    done = done_steps(store)
    assert not await done.is_done("a")
    store.names = ["a"]
    assert not await done.is_done("a")
    done.forget()
    assert await done.is_done("a")


async def test_a_page_from_before_a_refresh_is_not_an_answer_after_it() -> None:
    store = PagedStore([])
    done = done_steps(store)
    store.gate = anyio.Event()
    answers: list[bool] = []

    async def ask() -> None:
        answers.append(await done.is_done("a"))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask)
        while not store.under_way:
            await checkpoint()
        store.names = ["a"]
        done.forget()
        store.gate.set()
    assert answers == [True]
    assert store.pages == 2


async def test_a_failed_page_fails_its_asker_and_the_others_ask_again() -> None:
    store = PagedStore(["a"])
    store.failures = 1
    done = done_steps(store)
    errors: list[Exception] = []

    async def ask(name: str) -> None:
        try:
            await done.is_done(name)
        except EndpointUnreachableError as error:
            errors.append(error)

    async with anyio.create_task_group() as tasks:
        for name in ("a", "b", "c"):
            tasks.start_soon(ask, name)
    assert len(errors) == 1
    assert store.pages == 3  # the others side by side, as long as nothing is known of what a page answers
    assert await done.is_done("a")


async def test_what_no_further_page_can_help_fails_all_who_waited_at_once() -> None:
    store = PagedStore(["a"])
    store.failures, store.error = 1, AccessDeniedError
    done = done_steps(store)
    errors: list[Exception] = []

    async def ask(name: str) -> None:
        try:
            await done.is_done(name)
        except AccessDeniedError as error:
            errors.append(error)

    async with anyio.create_task_group() as tasks:
        for name in ("a", "b", "c"):
            tasks.start_soon(ask, name)
    assert len(errors) == 3
    assert store.pages == 1


async def test_a_failed_page_fails_what_it_was_to_answer() -> None:
    """Of 40 names, asked for side by side once it is known what a page answers, one page's worth fails."""
    names = numbered(40_000)
    store = PagedStore(names, page_size=1_000)
    done = done_steps(store)
    await ask_together(done, names[:2_000:100])
    store.bad = names[20_000]
    failed: list[str] = []

    async def ask(name: str) -> None:
        try:
            await done.is_done(name)
        except EndpointUnreachableError:
            failed.append(name)

    wanted = names[2_000::1_000]
    async with anyio.create_task_group() as tasks:
        for name in wanted:
            tasks.start_soon(ask, name)
    assert names[20_000] in failed
    assert len(failed) <= 10 < len(wanted)


async def test_dependents_are_looked_up_side_by_side_and_share_pages() -> None:
    store = PagedStore(numbered(50_000))
    done = done_steps(store)
    far = [f"step.{number:06d}" for number in range(0, 50_000, 5_000)]
    assert await done.matching(far) == far
    assert store.most_under_way > 4
    assert store.pages <= 2 * len(far)
    store = PagedStore(numbered(500))
    assert await done_steps(store).matching(numbered(500)) == numbered(500)
    assert store.pages == 1
    assert store.listings == []


async def test_a_cancelled_asker_hands_its_fetch_to_the_next() -> None:
    store = PagedStore(["a", "b"])
    store.gate = anyio.Event()
    done = done_steps(store)
    answers: list[bool] = []

    async def ask(name: str) -> None:
        answers.append(await done.is_done(name))

    async with anyio.create_task_group() as tasks:
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as cancelled:
                cancelled.start_soon(done.is_done, "a")
                while not store.under_way:
                    await checkpoint()
                tasks.start_soon(ask, "a")
                tasks.start_soon(ask, "b")
                await checkpoint()
                scope.cancel()
        store.gate.set()
    assert answers == [True, True]
    assert store.pages == 2


async def test_a_crowded_stretch_before_a_name_is_walked_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(done_cache, "just_before", lambda name: name[:1])
    store = PagedStore([f"n{number:03d}" for number in range(100)], page_size=7)
    done = done_steps(store)
    assert await done.is_done("n099")
    assert not await done.is_done("n0990")


@pytest.mark.parametrize("size", [3, 1000])
async def test_under_a_selector_finds_the_name_itself_and_all_below_it(size: int) -> None:
    names = ["a", "a b", "a-b", "a.b", "a.b.c", "a.c", "a.d", "a.é", "aa", "b"]
    done = done_steps(PagedStore(names, page_size=size))
    assert await done.matching(["a"]) == ["a", "a.b", "a.b.c", "a.c", "a.d", "a.é"]
    assert await done.matching(["a.b", "b", "z"]) == ["a.b", "a.b.c", "b"]
    assert await done.matching([]) == []


async def test_a_stretch_of_many_pages_is_listed_side_by_side_and_then_known() -> None:
    store = PagedStore([f"a.{number:05d}" for number in range(5_000)])
    done = done_steps(store)
    assert len(await done.matching(["a"])) == 5_000
    assert store.listings == ["a"]
    pages = store.pages
    assert await done.is_done("a.04999")
    assert not await done.is_done("a.x")
    assert len(await done.matching(["a"])) == 5_000
    assert store.pages == pages
    assert store.listings == ["a"]


names = st.lists(st.text("ab.", min_size=1, max_size=5), unique=True, max_size=60)


@given(done_names=names, asked=names, size=st.integers(1, 9))
def test_answers_are_right_however_names_and_pages_fall(
    done_names: list[str], asked: list[str], size: int
) -> None:
    async def answers() -> dict[str, bool]:
        return await ask_together(done_steps(store), asked)

    store = PagedStore(done_names, page_size=size)
    assert anyio.run(answers) == {name: name in done_names for name in asked}
    assert store.pages <= len(asked) * 2 + len(done_names) // size + 1


async def test_what_a_store_raises_comes_out_as_it_is_however_many_ask() -> None:
    store = PagedStore(numbered(500))

    async def broken(start_after: str = "") -> DonePage:
        raise OSError(start_after)

    store.done_page = broken  # type: ignore[method-assign]
    with pytest.raises(OSError, match="step"):
        await done_steps(store).matching(numbered(3))
