import random
from itertools import pairwise

import pytest
from listing_model import SHAPES, ModelStore, random_keys

from asyncsteps._errors import ListingError
from asyncsteps.store._listing.key_order import bump, just_before
from asyncsteps.store._listing.page import Page
from asyncsteps.store._listing.ranges import Pieces, Position
from asyncsteps.store._listing.scheduler import Frontier, Request


def drained(store: ModelStore, prefix: str, *, concurrency: int, draw: random.Random) -> list[str]:
    """List with the pages landing in random order, and now and then refused or sent again."""
    frontier = Frontier(prefix, concurrency=concurrency)
    under_way: list[Request] = []
    found: list[str] = []
    while True:
        under_way += frontier.next_requests(concurrency - len(under_way))
        assert len(under_way) <= concurrency
        if not under_way:
            assert frontier.done
            return found
        request = under_way.pop(draw.randrange(len(under_way)))
        page = store.answer(
            request.prefix, start_after=request.start_after, delimiter=request.delimiter, token=request.token
        )
        for batch in frontier.land(request, page):
            found += batch


@pytest.mark.parametrize("seed", range(4))
def test_thousands_of_random_key_spaces_in_any_order(seed: int) -> None:
    draw = random.Random(seed)
    for _ in range(600):
        prefix = draw.choice(["", "p/", "steps"])
        keys = [prefix + key for key in random_keys(draw)]
        keys += ["o", "p", "q/x", "step", "steps2/a", "zz"] if draw.random() < 0.5 else []
        store = ModelStore(filter(None, keys), page_size=draw.choice([1, 2, 3, 7, 20]))
        found = drained(store, prefix, concurrency=draw.choice([1, 2, 3, 8, 32]), draw=draw)
        assert sorted(found) == [key for key in store.keys if key.startswith(prefix)]


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_in_any_order(shape: str) -> None:
    draw = random.Random(shape)
    store = ModelStore([f"p/{name}" for name in SHAPES[shape](4000)], page_size=20)
    assert sorted(drained(store, "p/", concurrency=16, draw=draw)) == store.keys


@pytest.mark.parametrize("seed", range(20))
def test_open_pieces_and_what_was_covered_partition_the_key_space(seed: int) -> None:
    draw = random.Random(seed)
    keys = sorted({"".join(draw.choices("ab.", k=draw.randint(1, 6))) for _ in range(200)})
    pieces = Pieces("")
    found: list[str] = []
    while len(pieces):
        piece = draw.choice(list(pieces))
        if draw.random() < 0.5:
            pivots = sorted({"".join(draw.choices("ab.c", k=draw.randint(1, 4))) for _ in range(3)})
            pieces.split(piece, [pivot for pivot in pivots if piece.lo < (pivot, False) and pivot < piece.hi])
        covered = [key for key in keys if (key, True) > piece.lo][: draw.randint(1, 20)]
        end: Position = (piece.hi, False)
        if covered and draw.random() < 0.8:
            end = (covered[-1], True)
        else:
            covered = [key for key in keys if piece.lo < (key, True) and key < piece.hi]
        for batch in pieces.cover(piece.lo, end, covered):
            found += batch
        edges = [(piece.lo, piece.hi) for piece in pieces]
        assert all((hi, False) <= lo for (_, hi), (lo, _) in pairwise(edges))
    assert sorted(found) == keys


def test_a_page_below_its_start_sends_the_listing_to_the_token_chain() -> None:
    frontier = Frontier("p/", concurrency=4)
    (first,) = frontier.next_requests(4)
    frontier.land(first, Page(["p/a1", "p/a2", "p/b1"], [], "t"))
    requests = frontier.next_requests(3)
    (ignored, *_) = (request for request in requests if request.start_after)
    assert frontier.land(ignored, Page(["p/a1", "p/a2", "p/b1"], [], "t")) == []
    assert frontier.chained
    (chain,) = frontier.next_requests(4)
    assert (chain.prefix, chain.token, chain.start_after) == ("p/", "t", None)
    assert frontier.land(chain, Page(["p/c"], [], None)) == [["p/c"]]
    assert frontier.done


def test_disorder_after_pieces_were_given_is_an_error() -> None:
    frontier = Frontier("p/", concurrency=4)
    (first,) = frontier.next_requests(4)
    frontier.land(first, Page(["p/a1", "p/a2", "p/b1"], [], "t"))
    requests = frontier.next_requests(3)
    (ahead, *_) = (request for request in requests if request.start_after)
    assert frontier.land(ahead, Page(["p/x", "p/y"], [], None)) == [["p/x", "p/y"]]
    (head,) = (request for request in requests if request.head)
    with pytest.raises(ListingError, match="not in ascending order"):
        frontier.land(head, Page(["p/c", "p/b2"], [], None))


@pytest.mark.parametrize(
    ("text", "above"),
    [("a", "b"), ("a.", "a/"), ("a\U0010ffff", "b"), ("\ud7ff", "\ue000"), ("", "\U0010ffff" * 257)],
)
def test_bump_is_just_above_all_that_starts_with_the_text(text: str, above: str) -> None:
    assert bump(text) == above


@pytest.mark.parametrize(
    ("text", "before"),
    [("b", "a~"), ("a0", "a/~"), ("a\x00", "a"), ("a ", "a"), ("a!", "a ~"), ("\ue000", "\ud7ff~")],
)
def test_just_before_is_below_the_text(text: str, before: str) -> None:
    assert just_before(text, top="~") == before < text
