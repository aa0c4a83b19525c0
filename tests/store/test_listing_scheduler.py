"""The scheduler without any I/O: pages may arrive in any order."""

import random
from itertools import pairwise

import pytest
from listing_model import SHAPES, ModelStore, random_keys

from asyncsteps._errors import ListingError
from asyncsteps.store._listing.page import Page
from asyncsteps.store._listing.ranges import KeyRanges, Position
from asyncsteps.store._listing.request import Request
from asyncsteps.store._listing.scheduler import Scheduler


def drained(store: ModelStore, prefix: str, *, concurrency: int, draw: random.Random) -> list[str]:
    """List with the pages arriving in random order."""
    scheduler = Scheduler(prefix, concurrency=concurrency)
    in_flight: list[Request] = []
    found: list[str] = []
    while True:
        in_flight += scheduler.next_requests(concurrency - len(in_flight))
        assert len(in_flight) <= concurrency
        if not in_flight:
            assert scheduler.done
            return found
        request = in_flight.pop(draw.randrange(len(in_flight)))
        page = store.answer(
            request.prefix, start_after=request.start_after, delimiter=request.delimiter, token=request.token
        )
        for batch in scheduler.receive(request, page):
            found += batch


@pytest.mark.parametrize(
    ("seed", "count"), [*((seed, 150) for seed in range(4)), pytest.param(4, 2400, marks=pytest.mark.long)]
)
def test_random_key_spaces_in_any_order(seed: int, count: int) -> None:
    draw = random.Random(seed)
    for _ in range(count):
        prefix = draw.choice(["", "p/", "steps", "etl."])
        keys = [prefix + key for key in random_keys(draw)]
        keys += ["o", "p", "q/x", "step", "steps2/a", "etl", "etl/x", "zz"] if draw.random() < 0.5 else []
        store = ModelStore(filter(None, keys), page_size=draw.choice([1, 2, 3, 7, 20]))
        found = drained(store, prefix, concurrency=draw.choice([1, 2, 3, 8, 32]), draw=draw)
        assert sorted(found) == [key for key in store.keys if key.startswith(prefix)]


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_in_any_order(shape: str) -> None:
    draw = random.Random(shape)
    store = ModelStore([f"p/{name}" for name in SHAPES[shape](4000)], page_size=20)
    assert sorted(drained(store, "p/", concurrency=16, draw=draw)) == store.keys


@pytest.mark.parametrize("seed", range(20))
def test_open_ranges_and_what_was_covered_partition_the_key_space(seed: int) -> None:
    draw = random.Random(seed)
    keys = sorted({"".join(draw.choices("ab.", k=draw.randint(1, 6))) for _ in range(200)})
    ranges = KeyRanges("")
    found: list[str] = []
    while len(ranges):
        key_range = draw.choice(list(ranges))
        if draw.random() < 0.5:
            points = sorted({"".join(draw.choices("ab.c", k=draw.randint(1, 4))) for _ in range(3)})
            ranges.split(
                key_range, [point for point in points if key_range.lo < (point, False) and point < key_range.hi]
            )
        covered = [key for key in keys if (key, True) > key_range.lo][: draw.randint(1, 20)]
        end: Position = (key_range.hi, False)
        if covered and draw.random() < 0.8:
            end = (covered[-1], True)
        else:
            covered = [key for key in keys if key_range.lo < (key, True) and key < key_range.hi]
        for batch in ranges.cover(key_range.lo, end, covered):
            found += batch
        edges = [(one.lo, one.hi) for one in ranges]
        assert all((hi, False) <= lo for (_, hi), (lo, _) in pairwise(edges))
    assert sorted(found) == keys


def test_a_page_below_its_start_sends_the_listing_to_the_token_chain() -> None:
    scheduler = Scheduler("p/", concurrency=4)
    (first,) = scheduler.next_requests(4)
    scheduler.receive(first, Page(["p/a1", "p/a2", "p/b1"], [], "t"))
    requests = scheduler.next_requests(3)
    (ignored, *_) = (request for request in requests if request.start_after)
    assert scheduler.receive(ignored, Page(["p/a1", "p/a2", "p/b1"], [], "t")) == []
    assert scheduler.chained
    (chain,) = scheduler.next_requests(4)
    assert (chain.prefix, chain.token, chain.start_after) == ("p/", "t", None)
    assert scheduler.receive(chain, Page(["p/c"], [], None)) == [["p/c"]]
    assert scheduler.done


def test_disorder_after_ranges_were_listed_is_an_error() -> None:
    scheduler = Scheduler("p/", concurrency=4)
    (first,) = scheduler.next_requests(4)
    scheduler.receive(first, Page(["p/a1", "p/a2", "p/b1"], [], "t"))
    requests = scheduler.next_requests(3)
    (ahead, *_) = (request for request in requests if request.start_after)
    assert scheduler.receive(ahead, Page(["p/x", "p/y"], [], None)) == [["p/x", "p/y"]]
    (head,) = (request for request in requests if request.head)
    with pytest.raises(ListingError, match="not in ascending order"):
        scheduler.receive(head, Page(["p/c", "p/b2"], [], None))
