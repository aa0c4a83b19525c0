"""Which pages of a listing to request next, given those that came: the listing's decisions, without any I/O."""

import heapq
import math

from asyncsteps._errors import ListingError
from asyncsteps._plan.order import just_before, prefix_end
from asyncsteps.store._listing.key_model import KeyModel
from asyncsteps.store._listing.key_order import DELIMITER
from asyncsteps.store._listing.page import Page
from asyncsteps.store._listing.ranges import KeyRange, KeyRanges
from asyncsteps.store._listing.request import Request
from asyncsteps.store._listing.split_points import WORTH_SPLITTING, choose_split_points, clip, estimate_rest

_FIRST_SPECULATIONS = 6
_FEWEST_SPECULATIONS = 4
_WASTE_PER_USEFUL = 0.1
_USEFUL = 0.25


class Scheduler:
    """Decides which page to request next, and keeps track of what is still to be listed.

    Attributes:
        prefix: What every key starts with.
        chained: Whether only the token chain continues, because the server cannot be trusted with ranges.
    """

    def __init__(self, prefix: str, *, concurrency: int) -> None:
        self.prefix = prefix
        self.chained = concurrency == 1
        self._ranges = KeyRanges(prefix)
        self._model = KeyModel(prefix, self._ranges)
        self._concurrency = concurrency
        self._page_size = 1
        self._chain: Request | None = Request(prefix, begin=(prefix, False), head=True)
        self._mixed = False  # whether keys came from outside the token chain
        self._scoping = True  # whether the server accepts prefixes of single ranges
        self._probing = True  # whether the server accepts a delimiter
        self._allowance = _FIRST_SPECULATIONS
        self._speculating = 0
        self._useful = 0
        self._wasted = 0

    @property
    def done(self) -> bool:
        """Whether nothing is left to request."""
        return not self._ranges

    # What to request.

    def next_requests(self, idle: int) -> list[Request]:
        """Return the requests to send when ``idle`` more may be in flight."""
        if idle <= 0:
            return []
        if self.chained:
            request, self._chain = self._chain, None
            return [] if request is None else [request]
        ready = [key_range for key_range in self._ranges if not key_range.busy]
        if len(ready) > idle:
            ready.sort(key=lambda key_range: key_range.size, reverse=True)
        requests = [self._request(key_range) for key_range in ready[:idle]]
        waste_left = int(self._concurrency + _WASTE_PER_USEFUL * self._useful) - self._wasted
        room = min(idle - len(requests), min(self._allowance, waste_left) - self._speculating)
        if room > 0:
            requests += self._speculate(room)
        return requests

    def _request(self, key_range: KeyRange, *, speculative: bool = False) -> Request:
        """Make the request that continues a range."""
        key_range.busy = True
        self._speculating += speculative
        after, token = key_range.after, key_range.token
        return Request(
            key_range.scope,
            start_after=after if token is None else None,
            token=token,
            key_range=key_range,
            begin=(key_range.scope, False) if after is None else (after, True),
            head=key_range.head,
            speculative=speculative,
        )

    def _speculate(self, room: int) -> list[Request]:
        """Make up to ``room`` requests that may shorten the listing: probes, and the first ones of new ranges."""
        largest = self._largest(room)
        total = sum(key_range.size for key_range in self._ranges if key_range.size < math.inf)
        probes = (self._probe(key_range) for key_range in largest)
        requests = [probe for probe in probes if probe is not None]
        for key_range in largest:
            if len(requests) >= room:
                break
            share = max(1, round(self._concurrency * key_range.size / total))
            parts = self._split(key_range, min(share, room - len(requests)))
            requests += [self._request(part, speculative=True) for part in parts]
        return requests

    def _largest(self, most: int) -> list[KeyRange]:
        """Return the ranges worth splitting, largest first; estimate again only those that may be among them."""
        heap = [(-key_range.size, at, key_range) for at, key_range in enumerate(self._ranges)]
        heapq.heapify(heap)
        largest: list[KeyRange] = []
        while heap and len(largest) < most and -heap[0][0] > WORTH_SPLITTING * self._page_size:
            _, at, key_range = heapq.heappop(heap)
            if key_range.estimates is None:
                samples, keys_per_sample = key_range.samples, key_range.keys_per_sample
                key_range.estimates = estimate_rest(self._model, samples, keys_per_sample, end=key_range.hi)
                key_range.size = sum(estimate.keys for estimate in key_range.estimates)
                heapq.heappush(heap, (-key_range.size, at, key_range))
            else:
                largest.append(key_range)
        return largest

    def _split(self, key_range: KeyRange, most: int) -> list[KeyRange]:
        """Split up to ``most`` new ranges off a range."""
        estimates = key_range.estimates or ()
        points = choose_split_points(
            self._model, estimates, most=most, page_size=self._page_size, galloping=bool(key_range.samples)
        )
        points = [point for point in points if key_range.lo < (point, False) and point < key_range.hi]
        parts = self._ranges.split(key_range, points)
        for part in (key_range, *parts) if parts else ():
            part.estimates = tuple(clip(self._model, estimates, part.lo[0], part.hi))
            part.size = sum(estimate.keys for estimate in part.estimates)
        for part in parts:
            self._aim(part)
        return parts

    def _aim(self, key_range: KeyRange) -> None:
        """Choose the parameters of the first request for a new range."""
        lo, _ = key_range.lo
        if self._scoping and prefix_end(lo) == key_range.hi:
            key_range.scope = lo
        else:
            key_range.after = just_before(lo)

    def _probe(self, key_range: KeyRange) -> Request | None:
        """Make a request for the groups around a range's last page, unless they are known by other means."""
        if not self._probing or not key_range.samples:
            return None
        parent = self._model.probe_target(key_range.samples)
        if parent is None:
            return None
        self._speculating += 1
        return Request(parent, delimiter=DELIMITER, begin=(parent, False), speculative=True)

    # What came.

    def receive(self, request: Request, page: Page) -> list[list[str]]:
        """Process a page; return the keys that it adds, in batches.

        Raises:
            ListingError: When the page contradicts earlier ones and the listing cannot recover.
        """
        if page.token is not None and page.token == request.token:
            raise ListingError(f"the server repeats a token, so that the listing of {self.prefix!r} does not end")
        self._speculating -= request.speculative
        disorder = request.disorder(page)
        if not self.chained:
            if disorder is None and not request.starts_early(page):
                return self._receive_probe(request, page) if request.delimiter else self._receive(request, page)
            self.chained = True
        if disorder is not None and self._mixed:
            raise ListingError(
                f"the server contradicts itself in the listing of {self.prefix!r}: {disorder}; "
                "a concurrency of 1 lists such a server by its token chain alone"
            )
        if request.head:
            return self._receive_in_chain(request, page)
        self._start_chain()
        return []

    def _receive(self, request: Request, page: Page) -> list[list[str]]:
        keys = page.keys
        key_range = request.key_range
        assert key_range is not None
        key_range.busy = False
        end = (prefix_end(request.prefix), False)
        if page.token is not None:
            end = (keys[-1], True) if keys else request.begin
            self._page_size = max(self._page_size, len(keys))
        samples = self._model.learn(keys) if keys else ()
        batches = self._ranges.cover(request.begin, end, keys)
        self._mixed = self._mixed or (not request.head and bool(batches))
        self._count(request, sum(map(len, batches)))
        if request.head:
            self._chain = Request(self.prefix, token=page.token, begin=end, head=True)
        if page.token is not None and (not keys or key_range.after is None or keys[-1] >= key_range.after):
            key_range.token, key_range.scope = page.token, request.prefix
            if keys:
                key_range.after = keys[-1]
                key_range.samples, key_range.keys_per_sample = samples, len(keys) / len(samples)
                key_range.estimates = None
                key_range.size -= len(keys)
                if key_range.size < self._page_size:
                    key_range.size = math.inf  # it holds more than expected
        return batches

    def _count(self, request: Request, keys: int) -> None:
        """Speculate more while it pays off, and less while it does not."""
        if keys > _USEFUL * self._page_size:
            self._useful += 1
            self._allowance += 2 * request.speculative
        elif request.speculative:
            self._wasted += 1
            self._allowance = max(_FEWEST_SPECULATIONS, self._allowance - 1)

    def _receive_probe(self, request: Request, page: Page) -> list[list[str]]:
        if page.token is None and page.prefixes:
            self._model.learn_groups(request.prefix, page.prefixes)
            for key_range in self._ranges:
                if key_range.samples:
                    key_range.estimates, key_range.size = None, math.inf
        else:
            self._count(request, keys=0)
        return []

    # What went wrong.

    def refused(self, request: Request) -> bool:
        """Record that the server refuses a request for good; return whether the listing can do without it."""
        self._speculating -= request.speculative
        if request.head:
            return False
        if request.key_range is not None:
            request.key_range.busy = False
        if self.chained:
            pass
        elif request.delimiter is not None:
            self._probing = False
        elif request.prefix != self.prefix:
            # A policy may allow listing the whole prefix only.
            self._scoping = False
            for key_range in self._ranges:
                if key_range.scope != self.prefix:
                    key_range.scope, key_range.token = self.prefix, None
                    key_range.after = key_range.after or just_before(key_range.lo[0])
        else:
            self._start_chain()
        return True

    def _start_chain(self) -> None:
        """Continue by the token chain alone; from the start, unless nothing else has listed so far."""
        self.chained = True
        if self._mixed:
            self._chain = Request(self.prefix, begin=(self.prefix, False), head=True)

    def _receive_in_chain(self, request: Request, page: Page) -> list[list[str]]:
        """Process a page of the token chain: all of it counts if only the chain has listed so far."""
        keys = page.keys
        end = request.begin if not keys else (keys[-1], True)
        batches = [keys] if keys else []
        if self._mixed:
            batches = self._ranges.cover(request.begin, end, keys)
        if page.token is None:
            self._ranges.clear()
            self._chain = None
        else:
            self._chain = Request(self.prefix, token=page.token, begin=end, head=True)
        return batches
