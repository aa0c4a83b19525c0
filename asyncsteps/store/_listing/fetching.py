"""List every key under a prefix, given only a callable that fetches one page.

Pages are fetched concurrently, as `Scheduler` decides, each by a task of its own.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable

from asyncsteps._errors import (
    BucketNotFoundError,
    ClockSkewError,
    EndpointUnreachableError,
    ListingError,
    StoreClosedError,
    StoreError,
    StoreURLError,
    ThrottledError,
    WrongRegionError,
)
from asyncsteps.store._budget import TimeBudget, budgeted, current_budget
from asyncsteps.store._listing.page import FetchPage, Page
from asyncsteps.store._listing.request import Request
from asyncsteps.store._listing.scheduler import Scheduler
from asyncsteps.store._protocol import ListingProgress

_ATTEMPTS = 5
_ATTEMPTS_WHEN_THROTTLED = 8
_ATTEMPTS_WHEN_UNCLEAR = 2
_BACKOFF = 0.1
_LONGEST_BACKOFF = 5.0
_RECOVERY = 0.5
_TRANSIENT = (EndpointUnreachableError, ThrottledError)
_FINAL = (BucketNotFoundError, ClockSkewError, StoreClosedError, StoreURLError, WrongRegionError)


async def list_keys(
    fetch: FetchPage,
    prefix: str,
    *,
    concurrency: int,
    allowed: Callable[[], int] | None = None,
    on_progress: Callable[[ListingProgress], object] | None = None,
) -> AsyncIterator[list[str]]:
    """Yield the complete keys under ``prefix`` in batches, each key once, in no particular order.

    A slow consumer limits the pages fetched ahead to ``concurrency``. When it stops early or is cancelled, the
    requests in flight are cancelled too, and have ended when the generator is closed.

    Args:
        fetch: Fetches one page, with such retries of its own as it sees fit.
        prefix: What every key starts with.
        concurrency: The most pages to fetch at once; 1 follows the token chain alone.
        allowed: Gives the most pages to fetch at once now, where that changes; ``concurrency`` bounds it.
        on_progress: Called after each page.

    Raises:
        ListingError: When a page keeps failing, or the server's pages contradict each other.
        StoreError: As ``fetch`` raised it, when the first page fails or a retry cannot help.
    """
    if concurrency < 1:
        raise ValueError(f"a concurrency of {concurrency!r} is refused: it must be at least 1")
    listing = _Listing(fetch, prefix, concurrency, allowed, on_progress)
    try:
        listing.begin()
        while (batch := await listing.next_batch()) is not None:
            yield batch
    finally:
        await listing.close()


class _Listing:
    """One listing in progress: the tasks that fetch its pages, and the batches that wait for the consumer."""

    def __init__(
        self,
        fetch: FetchPage,
        prefix: str,
        concurrency: int,
        allowed: Callable[[], int] | None,
        on_progress: Callable[[ListingProgress], object] | None,
    ) -> None:
        self._fetch = fetch
        self._allowed = allowed
        self._prefix = prefix
        self._on_progress = on_progress
        self._scheduler = Scheduler(prefix, concurrency=concurrency)
        self._concurrency = concurrency
        self._limit = float(concurrency)
        self._throttlings = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._pauses: set[asyncio.TimerHandle] = set()
        self._again: deque[tuple[Request, int, TimeBudget]] = deque()
        self._outer = current_budget()
        self._batches: deque[list[str]] = deque()
        self._news = asyncio.Event()
        self._closed = False
        self._error: BaseException | None = None
        self._pages = self._names = self._requests = 0

    def begin(self) -> None:
        """Stop the clock of the operation that lists: each page has a time of its own, less what is used up."""
        if self._outer is not None:
            self._outer.wait()

    async def next_batch(self) -> list[str] | None:
        """Return the next keys, or None after the last ones."""
        while self._error is None:
            batch = self._batches.popleft() if self._batches else None
            self._send()
            if batch is not None:
                return batch
            if not self._tasks and not self._pauses:
                if self._scheduler.done:
                    return None
                raise ListingError(f"the listing of {self._prefix!r} stands still: this is a bug of asyncsteps")
            self._news.clear()
            await self._news.wait()
        raise self._error

    async def close(self) -> None:
        """Cancel the requests in flight and wait until they have ended."""
        self._closed = True
        self._drop()
        try:
            await asyncio.gather(*self._tasks, return_exceptions=True)
        finally:
            if self._outer is not None:
                self._outer.go_on()

    def _drop(self) -> None:
        """Cancel every request except the calling task's own."""
        for task in self._tasks:
            if task is not asyncio.current_task():
                task.cancel()
        for pause in self._pauses:
            pause.cancel()
        self._pauses.clear()
        self._again.clear()

    def _send(self) -> None:
        """Start as many requests as the limit allows, unless the consumer lags behind."""
        if self._closed or self._error is not None or len(self._batches) >= self._concurrency:
            return
        limit = int(self._limit) if self._allowed is None else min(int(self._limit), self._allowed())
        idle = limit - len(self._tasks)
        while self._again and idle > 0:
            request, attempt, budget = self._again.popleft()
            budget.go_on()
            self._start(request, attempt, budget)
            idle -= 1
        try:
            requests = self._scheduler.next_requests(idle)
        except Exception as error:  # noqa: BLE001 - callbacks send too; the consumer raises it
            self._error = error
        else:
            for request in requests:
                self._start(request, 1, TimeBudget(retried=True, before=self._outer))

    def _start(self, request: Request, attempt: int, budget: TimeBudget) -> None:
        self._requests += 1
        task = asyncio.get_running_loop().create_task(self._run(request, attempt, budget, self._throttlings))
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            error = task.exception()
            self._error = self._error or error
            self._send()
        self._news.set()

    async def _run(self, request: Request, attempt: int, budget: TimeBudget, throttlings: int) -> None:
        """Fetch a page and process the reply, or the error."""
        chained = self._scheduler.chained
        try:
            with budgeted(budget):
                page = await self._fetch(
                    request.prefix,
                    start_after=request.start_after,
                    delimiter=request.delimiter,
                    token=request.token,
                )
        except _FINAL:
            raise
        except StoreError as error:
            self._failed(error, request, attempt, budget, throttlings)
        else:
            if throttlings == self._throttlings:
                self._limit = min(self._concurrency, self._limit + _RECOVERY)
            self._receive(request, page)
        if self._scheduler.chained and not chained:
            self._drop()

    def _failed(
        self, error: StoreError, request: Request, attempt: int, budget: TimeBudget, throttlings: int
    ) -> None:
        """Send a request again that failed, or do without it, or raise the error that ends the listing."""
        if isinstance(error, ThrottledError) and throttlings == self._throttlings:
            # Requests that were in flight at the last halving do not halve the limit again.
            self._throttlings += 1
            self._limit = max(1, self._limit / 2)
        if attempt < self._attempts(error):
            self._pause(request, attempt, budget)
            return
        if self._outer is not None:
            self._outer.charge(budget)
        if isinstance(error, _TRANSIENT) and self._pages > 0:
            raise self._failure(error, attempt) from error
        if isinstance(error, _TRANSIENT) or not self._scheduler.refused(request):
            raise error

    def _attempts(self, error: StoreError) -> int:
        """Return how often to request a page that fails like this; the client has made retries of its own."""
        if isinstance(error, ThrottledError):
            return _ATTEMPTS_WHEN_THROTTLED
        if isinstance(error, EndpointUnreachableError) and self._pages > 0:
            return _ATTEMPTS
        # It may be an internal error or the server's way to refuse: the second time it counts as the latter.
        return _ATTEMPTS_WHEN_UNCLEAR if type(error) is StoreError or isinstance(error, _TRANSIENT) else 1

    def _failure(self, error: StoreError, attempts: int) -> ListingError:
        """Make the error to raise when a page keeps failing."""
        return ListingError(
            f"a page of the listing of {self._prefix!r} failed {attempts} times: {error}",
            url=error.url,
            bucket=error.bucket,
            endpoint=error.endpoint,
        )

    def _pause(self, request: Request, attempt: int, budget: TimeBudget) -> None:
        """Send a request again after a delay."""

        def resume() -> None:
            self._pauses.discard(pause)
            budget.wait()
            self._again.append((request, attempt + 1, budget))
            self._send()

        pause = asyncio.get_running_loop().call_later(min(_BACKOFF * 2**attempt, _LONGEST_BACKOFF), resume)
        self._pauses.add(pause)

    def _receive(self, request: Request, page: Page) -> None:
        """Queue the keys that a page adds, and report the progress."""
        batches = self._scheduler.receive(request, page)
        self._batches.extend(batches)
        self._pages += request.delimiter is None
        self._names += sum(map(len, batches))
        if self._on_progress is not None:
            self._on_progress(
                ListingProgress(
                    pages=self._pages, names=self._names, requests=self._requests, concurrency=len(self._tasks)
                )
            )
