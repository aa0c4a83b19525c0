"""Which pages of a listing to ask for next, given those that came: the listing's decisions, without any I/O."""

import heapq
import math
from dataclasses import dataclass
from itertools import islice
from operator import lt

from asyncsteps._errors import ListingError
from asyncsteps.store._listing.key_model import Atlas
from asyncsteps.store._listing.key_order import DELIMITER, bump
from asyncsteps.store._listing.page import Page
from asyncsteps.store._listing.ranges import Piece, Pieces, Position
from asyncsteps.store._listing.split_points import WORTH_SPLITTING, between, outline, pivots_of

_FIRST_SPECULATIONS = 6
_FEWEST_SPECULATIONS = 4
_WASTE_PER_USEFUL = 0.1
_USEFUL = 0.25


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """A page to ask for.

    Attributes:
        prefix: As for `FetchPage`.
        start_after: As for `FetchPage`.
        delimiter: As for `FetchPage`; then the request is a probe, which tells groups and covers nothing.
        token: As for `FetchPage`.
        piece: The piece that it was made for; None for a probe, and in the token chain.
        begin: From where its page is complete.
        head: Whether it belongs to the token chain from the first page on.
        speculative: Whether it may turn out to have been for nothing.
    """

    prefix: str
    start_after: str | None = None
    delimiter: str | None = None
    token: str | None = None
    piece: Piece | None = None
    begin: Position = ("", False)
    head: bool = False
    speculative: bool = False


class Frontier:
    """What of a key space is still to be listed.

    Attributes:
        prefix: What every key starts with.
        chained: Whether the token chain alone goes on, because the server cannot be trusted with pieces.
    """

    def __init__(self, prefix: str, *, concurrency: int) -> None:
        self.prefix = prefix
        self.chained = concurrency == 1
        self._pieces = Pieces(prefix)
        self._atlas = Atlas(prefix, self._pieces)
        self._concurrency = concurrency
        self._page_size = 1
        self._chain: Request | None = Request(prefix, begin=(prefix, False), head=True)
        self._mixed = False
        self._scoping = True
        self._probing = True
        self._allowance = _FIRST_SPECULATIONS
        self._speculating = 0
        self._useful = 0
        self._wasted = 0

    @property
    def done(self) -> bool:
        """Whether nothing is left to ask for."""
        return not self._pieces

    # What to ask for.

    def next_requests(self, idle: int) -> list[Request]:
        """The requests to send now that ``idle`` more may be under way."""
        if idle <= 0:
            return []
        if self.chained:
            request, self._chain = self._chain, None
            return [] if request is None else [request]
        ready = [piece for piece in self._pieces if not piece.busy]
        if len(ready) > idle:
            ready.sort(key=lambda piece: piece.size, reverse=True)
        requests = [self._request(piece) for piece in ready[:idle]]
        waste_left = int(self._concurrency + _WASTE_PER_USEFUL * self._useful) - self._wasted
        room = min(idle - len(requests), min(self._allowance, waste_left) - self._speculating)
        if room > 0:
            requests += self._speculate(room)
        return requests

    def _request(self, piece: Piece, *, speculative: bool = False) -> Request:
        """The request that goes on with a piece."""
        piece.busy = True
        self._speculating += speculative
        begin = (piece.scope, False) if piece.after is None else (piece.after, True)
        if piece.token is not None:
            return Request(
                piece.scope, token=piece.token, piece=piece, begin=begin, head=piece.head, speculative=speculative
            )
        return Request(
            piece.scope, piece.after, piece=piece, begin=begin, head=piece.head, speculative=speculative
        )

    def _speculate(self, room: int) -> list[Request]:
        """Up to ``room`` requests that may shorten the listing: probes, and new pieces."""
        requests: list[Request] = []
        largest = self._largest(room)
        total = sum(piece.size for piece in self._pieces if piece.size < math.inf)
        for piece in largest:
            probe = self._probe(piece) if len(requests) < room else None
            if probe is not None:
                requests.append(probe)
        for piece in largest:
            if len(requests) >= room:
                break
            share = max(1, round(self._concurrency * piece.size / total))
            parts = self._split(piece, min(share, room - len(requests)))
            requests += [self._request(part, speculative=True) for part in parts]
        return requests

    def _largest(self, most: int) -> list[Piece]:
        """The pieces that are worth splitting, largest first; only what may be among them is estimated anew."""
        heap = [(-piece.size, at, piece) for at, piece in enumerate(self._pieces)]
        heapq.heapify(heap)
        largest: list[Piece] = []
        while heap and len(largest) < most and -heap[0][0] > WORTH_SPLITTING * self._page_size:
            _, at, piece = heapq.heappop(heap)
            if piece.runs is None:
                piece.runs = tuple(outline(self._atlas, piece.samples, piece.each, piece.hi))
                piece.size = sum(run.keys for run in piece.runs)
                heapq.heappush(heap, (-piece.size, at, piece))
            else:
                largest.append(piece)
        return largest

    def _split(self, piece: Piece, most: int) -> list[Piece]:
        """Cut up to ``most`` new pieces off a piece."""
        runs = piece.runs or ()
        pivots = pivots_of(self._atlas, runs, most=most, page_size=self._page_size, galloping=bool(piece.samples))
        pivots = [pivot for pivot in pivots if piece.lo < (pivot, False) and pivot < piece.hi]
        parts = self._pieces.split(piece, pivots)
        for part in (piece, *parts) if parts else ():
            part.runs = tuple(between(self._atlas, runs, part.lo[0], part.hi))
            part.size = sum(run.keys for run in part.runs)
        for part in parts:
            self._aim(part)
        return parts

    def _aim(self, piece: Piece) -> None:
        """Decide how the first request for a new piece finds it."""
        lo, _ = piece.lo
        if self._scoping and bump(lo) == piece.hi:
            piece.scope = lo
        else:
            piece.after = self._atlas.just_before(lo)

    def _probe(self, piece: Piece) -> Request | None:
        """A look at the groups that a piece's last page lay within, when nothing else tells them."""
        if not self._probing or not piece.samples:
            return None
        parent = self._atlas.probe_target(piece.samples)
        if parent is None:
            return None
        self._speculating += 1
        return Request(parent, delimiter=DELIMITER, begin=(parent, False), speculative=True)

    # What came.

    def land(self, request: Request, page: Page) -> list[list[str]]:
        """Take a page in; the keys that it adds, in batches.

        Raises:
            ListingError: When the page contradicts the earlier ones, and nothing can be made of them.
        """
        if page.token is not None and page.token == request.token:
            raise ListingError(f"the server repeats a token, so that the listing of {self.prefix!r} does not end")
        self._speculating -= request.speculative
        disorder = _disorder(request, page)
        if not self.chained:
            if disorder is None and not _ignores_start(request, page):
                return self._land_probe(request, page) if request.delimiter else self._land(request, page)
            self.chained = True
        if disorder is not None and self._mixed:
            raise ListingError(
                f"the server contradicts itself in the listing of {self.prefix!r}: {disorder}; "
                "a concurrency of 1 lists such a server by its token chain alone"
            )
        if request.head:
            return self._land_in_chain(request, page)
        self._start_chain()
        return []

    def _land(self, request: Request, page: Page) -> list[list[str]]:
        keys = page.keys
        piece = request.piece
        assert piece is not None
        piece.busy = False
        end = (bump(request.prefix), False)
        if page.token is not None:
            end = (keys[-1], True) if keys else request.begin
            self._page_size = max(self._page_size, len(keys))
        samples = self._atlas.learn(keys) if keys else ()
        batches = self._pieces.cover(request.begin, end, keys)
        self._mixed = self._mixed or (not request.head and bool(batches))
        self._count(request, sum(map(len, batches)))
        if request.head:
            self._chain = Request(self.prefix, token=page.token, begin=end, head=True)
        if page.token is not None and (not keys or piece.after is None or keys[-1] >= piece.after):
            piece.token, piece.scope = page.token, request.prefix
            if keys:
                piece.after = keys[-1]
                piece.samples, piece.each, piece.runs = samples, len(keys) / len(samples), None
                piece.size -= len(keys)
                if piece.size < self._page_size:
                    piece.size = math.inf  # more than was supposed
        return batches

    def _count(self, request: Request, keys: int) -> None:
        """Speculate more when it pays, and less when it does not."""
        if keys > _USEFUL * self._page_size:
            self._useful += 1
            self._allowance += 2 * request.speculative
        elif request.speculative:
            self._wasted += 1
            self._allowance = max(_FEWEST_SPECULATIONS, self._allowance - 1)

    def _land_probe(self, request: Request, page: Page) -> list[list[str]]:
        if page.token is None and page.prefixes:
            self._atlas.learn_groups(request.prefix, page.prefixes)
            for piece in self._pieces:
                if piece.samples:
                    piece.runs, piece.size = None, math.inf
        return []

    # What went wrong.

    def refused(self, request: Request) -> bool:
        """Take in that the server refuses a request for good; whether the listing can do without it."""
        self._speculating -= request.speculative
        if request.head:
            return False
        if request.piece is not None:
            request.piece.busy = False
        if self.chained:
            pass
        elif request.delimiter is not None:
            self._probing = False
        elif request.prefix != self.prefix:
            # A policy may allow a listing of the whole prefix alone.
            self._scoping = False
            for piece in self._pieces:
                if piece.scope != self.prefix:
                    piece.scope, piece.token = self.prefix, None
                    piece.after = piece.after or self._atlas.just_before(piece.lo[0])
        else:
            self._start_chain()
        return True

    def _start_chain(self) -> None:
        """Go on by the token chain alone: from where it stands while it alone has listed, otherwise anew."""
        self.chained = True
        if self._mixed:
            self._chain = Request(self.prefix, begin=(self.prefix, False), head=True)

    def _land_in_chain(self, request: Request, page: Page) -> list[list[str]]:
        """A page of the token chain: it counts where pieces are open, or whole when it alone has listed so far."""
        keys = page.keys
        end = request.begin if not keys else (keys[-1], True)
        batches = [keys] if keys else []
        if self._mixed:
            batches = self._pieces.cover(request.begin, end, keys)
        if page.token is None:
            self._pieces.clear()
            self._chain = None
        else:
            self._chain = Request(self.prefix, token=page.token, begin=end, head=True)
        return batches


def _disorder(request: Request, page: Page) -> str | None:
    """How a page is not one of the keys that start with its prefix, in ascending order."""
    keys = page.keys
    if not all(map(lt, keys, islice(keys, 1, None))):
        return "a page's keys are not in ascending order"
    if keys and not (keys[0].startswith(request.prefix) and keys[-1].startswith(request.prefix)):
        return f"a page for the prefix {request.prefix!r} holds other keys"
    return None


def _ignores_start(request: Request, page: Page) -> bool:
    """Whether a page begins before where it was asked to."""
    return bool(page.keys) and page.keys[0] < request.begin[0]
