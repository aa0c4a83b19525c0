"""The contract of `asyncsteps.store.StepStore`, run against every store."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from asyncsteps._errors import RecordError, SelectorError, StepNameError, StoreClosedError
from asyncsteps._plan.names import NameRule, check_step_name
from asyncsteps.store import ListingProgress, MemoryStore, StepStore, open_store
from asyncsteps.testing import FaultyStore

OpenStore = Callable[[], AbstractAsyncContextManager[StepStore]]

RECORD = {"run_id": "r1", "workflow_id": "w1", "version": "1"}
AWKWARD_NAMES = [
    "a",
    "Load.Users",
    "load.users",
    "a b",
    " leading and trailing ",
    "a+b",
    "a%20b",
    "100%",
    "%2e",
    "x:y",
    "a\\b",
    "a?b#c&d=e",
    "<tag>&amp;'\"",
    "~",
    "~tilde~",
    "-dash",
    "_",
    "*a",
    "a.b*",
    "con",
    "caf\u00e9",
    "cafe\u0301",
    "\u65e5\u672c\u8a9e.\U0001f600",
    "z" * 300,
    "\u65e5" * 200,
    "n." * 100 + "n",
]


@pytest.fixture(params=["memory", "faulty", "directory", "s3", "s3 by botocore"])
def open_one(request: pytest.FixtureRequest) -> OpenStore:
    """Opens stores, not yet entered; all but those in memory share their contents."""
    if request.param == "memory":
        return lambda: open_store("memory:")
    if request.param == "faulty":
        return lambda: FaultyStore(MemoryStore())
    if request.param == "directory":
        path: Path = request.getfixturevalue("tmp_path")
        return lambda: open_store(path / "steps")
    bucket, endpoint = request.getfixturevalue("bucket"), request.getfixturevalue("s3_endpoint")
    transport = "botocore" if request.param == "s3 by botocore" else None
    return lambda: open_store(f"s3://{bucket}/people/42/steps", endpoint_url=endpoint, transport=transport)


@pytest.fixture
async def store(open_one: OpenStore) -> AsyncIterator[StepStore]:
    async with open_one() as opened:
        yield opened


async def mark(store: StepStore, *names: str, record: Mapping[str, Any] = RECORD) -> None:
    await asyncio.gather(*(store.mark_done(name, record) for name in names))


async def test_an_empty_store_holds_nothing(store: StepStore) -> None:
    assert await store.list_done() == []
    assert await store.list_done("a.b") == []
    assert await store.is_done("a") is False
    assert await store.read_done("a") is None
    assert await store.withdraw(["a", "b"]) == []
    page = await store.done_page()
    assert (page.names, page.through) == ((), None)


async def test_it_is_a_step_store(store: StepStore) -> None:
    assert isinstance(store, StepStore)
    assert store.url in repr(store)


async def test_a_mark_is_seen_by_every_question(store: StepStore) -> None:
    assert await store.mark_done("ingest.users", RECORD) is True
    assert await store.is_done("ingest.users") is True
    assert await store.is_done("ingest") is False
    assert await store.read_done("ingest.users") == RECORD
    assert await store.list_done() == ["ingest.users"]
    assert (await store.done_page()).names == ("ingest.users",)


async def test_any_valid_name_can_be_stored_listed_read_and_withdrawn(store: StepStore) -> None:
    for name in AWKWARD_NAMES:
        store.check_name(name)
    await asyncio.gather(*(store.mark_done(name, {"of": name}) for name in AWKWARD_NAMES))
    unrecognised: list[str] = []
    assert await store.list_done(on_foreign=unrecognised.append) == sorted(AWKWARD_NAMES)
    assert unrecognised == []
    assert [await store.read_done(name) for name in AWKWARD_NAMES] == [{"of": name} for name in AWKWARD_NAMES]
    assert all([await store.is_done(name) for name in AWKWARD_NAMES])
    assert (await store.done_page()).names == tuple(sorted(AWKWARD_NAMES))
    assert await store.withdraw(AWKWARD_NAMES) == sorted(AWKWARD_NAMES)
    assert await store.list_done() == []


async def test_a_second_mark_replaces_the_record(store: StepStore) -> None:
    assert await store.mark_done("a", {"run_id": "1"}) is True
    assert await store.mark_done("a", {"run_id": "2"}) is True
    assert await store.read_done("a") == {"run_id": "2"}


async def test_first_wins_keeps_the_first_mark(store: StepStore) -> None:
    assert await store.mark_done("a", {"run_id": "1"}, first_wins=True) is True
    assert await store.mark_done("a", {"run_id": "2"}, first_wins=True) is False
    assert await store.mark_done("b", {"run_id": "3"}) is True
    assert await store.mark_done("b", {"run_id": "4"}, first_wins=True) is False
    assert [await store.read_done("a"), await store.read_done("b")] == [{"run_id": "1"}, {"run_id": "3"}]
    assert await store.withdraw("a") == ["a"]
    assert await store.mark_done("a", {"run_id": "5"}, first_wins=True) is True


@pytest.mark.parametrize("contested", ["a", "b"])
async def test_of_racers_for_the_first_mark_one_wins(store: StepStore, contested: str) -> None:
    await store.mark_done("a", {"racer": -1}, first_wins=contested == "b")
    if contested == "a":
        await store.withdraw("a")
    won = await asyncio.gather(*(store.mark_done(contested, {"racer": n}, first_wins=True) for n in range(20)))
    assert won.count(True) == 1
    assert await store.read_done(contested) == {"racer": won.index(True)}


async def test_selectors_choose_a_step_and_what_is_below_it(store: StepStore) -> None:
    names = ["a", "a.b", "a.b.c", "a.b.d.e", "a.bc", "a-b", "ab", "b"]
    await mark(store, *names)
    assert await store.list_done() == sorted(names)
    assert await store.list_done("*") == sorted(names)
    assert await store.list_done("a") == ["a", "a.b", "a.b.c", "a.b.d.e", "a.bc"]
    assert await store.list_done("a.b") == ["a.b", "a.b.c", "a.b.d.e"]
    assert await store.list_done("a.b.d") == ["a.b.d.e"]
    assert await store.list_done("c") == []
    assert await store.list_done("x" * 1024) == []
    assert await store.list_done("=" + "x" * 1024) == []


async def test_an_exact_selector_chooses_one_name(store: StepStore) -> None:
    await mark(store, "a", "a.b", "a.b.c", "=x", "=x.y", "x", "x.y")
    assert await store.list_done("=a.b") == ["a.b"]
    assert await store.list_done("=a.b.c") == ["a.b.c"]
    assert await store.list_done("=b") == []
    assert await store.list_done("=x") == ["=x", "=x.y", "x"]  # names that begin with "=" are selected as ever
    assert await store.list_done("==x") == ["=x"]


async def test_batches_hold_each_name_once_and_progress_is_told(store: StepStore) -> None:
    names = [f"s{n:02}" for n in range(40)]
    await mark(store, *names)
    progress: list[ListingProgress] = []
    batches = [batch async for batch in store.iter_done(on_progress=progress.append)]
    assert sorted(name for batch in batches for name in batch) == names
    assert all(batches)
    assert progress[-1].names == 40
    assert progress[-1].pages == len(progress)


async def test_breaking_off_a_listing_leaves_the_store_usable(store: StepStore) -> None:
    await mark(store, "a", "b")
    async with contextlib.aclosing(store.iter_done()) as batches:  # type: ignore[type-var]  # all are generators
        async for batch in batches:
            assert batch
            break
    assert await store.list_done() == ["a", "b"]


async def test_pages_tell_all_that_lies_after_a_position(store: StepStore) -> None:
    names = sorted(["a", "b", "b.c", "b\U0001f600", "c"])
    await mark(store, *names)
    for start_after in ("", "a", "a\U0010ffff", "b", "b.", "bz", "c", "d", "\n", "x" * 2000, "b\ud800", "/"):
        found: list[str] = []
        position: str | None = start_after
        while position is not None:
            page = await store.done_page(position)
            assert list(page.names) == sorted(page.names)
            assert page.through is None or page.through > position
            found += page.names
            position = page.through
        assert found == [name for name in names if name > start_after]


async def test_withdrawing_gives_back_what_was_there(store: StepStore) -> None:
    await mark(store, "a", "a.b", "b", "c", "d")
    assert await store.withdraw("a") == ["a"]
    assert await store.withdraw("a") == []
    assert await store.withdraw(name for name in ("d", "nowhere", "b", "d")) == ["b", "d"]
    assert await store.withdraw([]) == []
    assert await store.list_done() == ["a.b", "c"]
    assert await store.is_done("b") is False


async def test_withdrawing_many_finds_those_that_are_there(store: StepStore) -> None:
    there = [f"w.{n:03}" for n in range(0, 120, 3)]
    await mark(store, *there, "w", "x")
    assert await store.withdraw(f"w.{n:03}" for n in range(120)) == there
    assert await store.list_done() == ["w", "x"]


async def test_bad_names_are_refused_before_anything_is_done(store: StepStore) -> None:
    await mark(store, "a")
    bad: list[Any] = ["", "a/b", "a..b", ".a", "a.", "*", "a.*", "a\n", "\ud800", "x" * 1025, 3, None]
    for name in bad:
        with pytest.raises(StepNameError):
            store.check_name(name)
        with pytest.raises(StepNameError):
            await store.is_done(name)
        with pytest.raises(StepNameError):
            await store.read_done(name)
        with pytest.raises(StepNameError):
            await store.mark_done(name, RECORD)
        with pytest.raises(StepNameError):
            await store.withdraw(["a", name])
    assert await store.list_done() == ["a"]


async def test_a_name_is_checked_once_a_call(store: StepStore, monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[str] = []

    def check(name: str, *, prefix: str, by: NameRule) -> str:
        checked.append(name)
        return check_step_name(name, prefix=prefix, by=by)

    monkeypatch.setattr("asyncsteps.store._common.check_step_name", check)
    await store.mark_done("a", RECORD)
    await store.mark_done("b", RECORD, first_wins=True)
    await store.is_done("c")
    await store.read_done("d")
    assert checked == ["a", "b", "c", "d"]
    await store.withdraw(["a", "b"])
    assert checked == ["a", "b", "c", "d", "a", "b"]
    await store.list_done("a")
    await store.done_page()
    assert len(checked) == 6


async def test_withdraw_takes_names_only(store: StepStore) -> None:
    with pytest.raises(StepNameError, match="iterable"):
        await store.withdraw(3)  # type: ignore[arg-type]


async def test_bad_selectors_are_refused(store: StepStore) -> None:
    bad: list[Any] = ["", "a.", "a.*", "a/b", 3]
    for selector in bad:
        with pytest.raises(SelectorError):
            await store.list_done(selector)
        with pytest.raises(SelectorError):
            store.iter_done(selector)


async def test_what_is_no_mapping_of_json_values_is_not_stored(store: StepStore) -> None:
    circular: dict[str, Any] = {}
    circular["self"] = [circular]
    bad: list[Any] = [
        None,
        [("a", 1)],
        "text",
        {"a": object()},
        {"a": float("nan")},
        {"a": [float("inf")]},
        {1: "a"},
        {"a": [{"b": {2: "c"}}]},
        {"a": b"bytes"},
        {"a": {1, 2}},
        circular,
    ]
    for record in bad:
        with pytest.raises(RecordError, match="mapping of JSON values") as caught:
            await store.mark_done("a", record)
        assert caught.value.step == "a"
    assert await store.is_done("a") is False


async def test_records_come_back_as_json_has_them(store: StepStore) -> None:
    record: Mapping[str, Any] = MappingProxyType(
        {
            "int": 2**70,
            "float": 0.1,
            "null": None,
            "list": [1, (2, True)],
            "text": 'caf\u00e9 \u2028 \ud800 "x"',
            "": {},
        }
    )
    await store.mark_done("a", record)
    assert await store.read_done("a") == {**record, "list": [1, [2, True]]}
    await store.mark_done("a", {})
    assert await store.read_done("a") == {}


async def test_records_are_copies(store: StepStore) -> None:
    record = {"list": [1]}
    await store.mark_done("a", record)
    record["list"].append(2)
    first = await store.read_done("a")
    assert first is not None
    assert first == {"list": [1]}
    first["list"].append(3)
    assert await store.read_done("a") == {"list": [1]}


async def test_hundreds_of_tasks_use_it_at_once(store: StepStore) -> None:
    names = [f"many.{n:03}" for n in range(120)]
    assert all(await asyncio.gather(*(store.mark_done(name, {"n": name}) for name in names)))
    assert await asyncio.gather(*(store.is_done(name) for name in names[:50])) == [True] * 50
    assert await store.list_done("many") == names


async def test_a_store_is_used_inside_its_block_once(open_one: OpenStore) -> None:
    opening = open_one()
    assert isinstance(opening, StepStore)

    async def refuses() -> None:
        with pytest.raises(StoreClosedError):
            await opening.is_done("a")
        with pytest.raises(StoreClosedError):
            await opening.read_done("a")
        with pytest.raises(StoreClosedError):
            await opening.mark_done("a", RECORD)
        with pytest.raises(StoreClosedError):
            await opening.withdraw("a")
        with pytest.raises(StoreClosedError):
            await opening.list_done()
        with pytest.raises(StoreClosedError):
            await opening.done_page()
        with pytest.raises(StoreClosedError):
            opening.iter_done()

    await refuses()
    async with opening as store:
        await store.mark_done("a", RECORD)
        await store.mark_done("b", RECORD, first_wins=True)
        with pytest.raises(StoreClosedError, match="once"):
            await opening.__aenter__()
        assert await store.list_done() == ["a", "b"]
    await refuses()
    with pytest.raises(StoreClosedError, match="once"):
        await opening.__aenter__()


async def test_a_listing_ends_with_its_store(open_one: OpenStore) -> None:
    async with open_one() as store:
        await mark(store, "a")
        listing = store.iter_done()
        assert await anext(listing) == ["a"]
        unused = store.iter_done()
    for ended in (listing, unused):
        with pytest.raises(StoreClosedError):
            await anext(ended)


async def test_the_url_opens_the_same_store(open_one: OpenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_one() as store:
        if isinstance(store, MemoryStore | FaultyStore):
            assert store.url == "memory:"
            return
        await mark(store, "a")
        place = getattr(store, "_client", None)
        if place is not None:
            monkeypatch.setenv("AWS_ENDPOINT_URL_S3", place.context()["endpoint"])
        async with open_store(store.url) as again:
            assert again.url == store.url
            assert await again.list_done() == ["a"]
