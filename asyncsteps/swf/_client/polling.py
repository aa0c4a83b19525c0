"""Follows many executions: one task polls those that are due, at one shared rate."""

import heapq
import itertools
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio

from asyncsteps._plan.model import Marker
from asyncsteps.swf._client.api import SwfApi
from asyncsteps.swf._client.errors import (
    SwfClientClosedError,
    SwfError,
    SwfThrottledError,
    SwfUnreachableError,
)
from asyncsteps.swf._client.history import MAX_PAGE, MIN_PAGE, News, Run, read_end, read_news
from asyncsteps.swf._client.pacing import PollLimits, PollRate
from asyncsteps.swf._client.records import Closure, HistoryEvent

_logger = logging.getLogger("asyncsteps.swf")


@dataclass(eq=False, slots=True)
class Follower:
    """The state of one run, shared by all its users.

    Attributes:
        run: The run.
        markers: Its markers so far, once a user wants them.
        events: All its events so far, where ``keeps_events`` says so.
        closure: How it closed, once it has.
        error: Why it is no longer followed, if not because it closed.
        changed: Set, and replaced, whenever one of the four above changes.
        users: The number of users that follow it.
        wants_markers: Whether a user wants its markers, which takes more reading than seeing it close.
        read_through: The id of the last event whose markers were read.
        newest: The id of the newest event seen.
        page_size: The number of events to request at once.
        interval: Seconds until the next poll.
        keeps_events: Whether events are kept, beside the markers.
        due: When the next poll is due; None while it is not queued.
        polling: Whether a poll is in flight; there is never more than one.
        hurried: Whether to poll again as soon as the poll in flight has ended.
        failing_since: When polls began to fail.
    """

    run: Run
    interval: float
    keeps_events: bool = False
    markers: list[Marker] = field(default_factory=list)
    events: list[HistoryEvent] = field(default_factory=list)
    closure: Closure | None = None
    error: SwfError | None = None
    changed: anyio.Event = field(default_factory=anyio.Event)
    users: int = 0
    wants_markers: bool = False
    read_through: int = 0
    newest: int = 0
    page_size: int = MAX_PAGE
    due: float | None = None
    polling: bool = False
    hurried: bool = False
    failing_since: float | None = None

    @property
    def complete(self) -> bool:
        """Whether the run has closed and all its markers were read."""
        return self.closure is not None and self.read_through >= self.newest

    @property
    def settled(self) -> bool:
        """Whether nothing is left to poll for."""
        return self.error is not None or (self.complete if self.wants_markers else self.closure is not None)

    def notify(self) -> None:
        """Wake all users."""
        self.changed.set()
        self.changed = anyio.Event()

    def take(self, news: News) -> bool:
        """Add the result of a poll; return whether there was anything new."""
        fresh = news.through > self.newest
        if news.markers is not None:
            self.markers += news.markers
            self.events += news.events
            self.page_size = min(max(4 * (news.through - self.read_through), MIN_PAGE), MAX_PAGE)
            self.read_through = news.through
        self.newest = max(self.newest, news.through)
        self.closure = self.closure or news.closure
        return fresh


class Poller:
    """Polls the followed runs, in a task of the client's task group.

    Args:
        api: Fetches histories.
        limits: How often to poll.
        slots: The most polls at once.
    """

    def __init__(self, api: SwfApi, limits: PollLimits, *, slots: int) -> None:
        self._api = api
        self._limits = limits
        self._rate = PollRate(limits.per_second)
        self._slots = anyio.Semaphore(slots)
        self._followers: dict[tuple[Run, bool], Follower] = {}
        self._queue: list[tuple[float, int, Follower]] = []
        self._ticket = itertools.count()
        self._wake = anyio.Event()

    @contextmanager
    def following(self, run: Run, *, markers: bool, events: bool = False) -> Iterator[Follower]:
        """Follow a run inside the block; all users of a run share one follower, and another for all events."""
        self._api.check_open()
        follower = self._followers.get((run, events))
        if follower is None:
            follower = Follower(run, self._limits.shortest, keeps_events=events)
            self._followers[run, events] = follower
        follower.users += 1
        if follower.users == 1 or (markers and not follower.wants_markers):
            follower.wants_markers = follower.wants_markers or markers
            follower.hurried = follower.polling
            if not follower.polling:
                self._schedule(follower, anyio.current_time())
        try:
            yield follower
        finally:
            follower.users -= 1
            if not follower.users:
                self._forget(follower)

    async def run(self) -> None:
        """Poll until cancelled. However this ends, waiting users get an error."""
        try:
            async with anyio.create_task_group() as polls:
                while True:
                    await self._slots.acquire()
                    follower = await self._next_due()
                    polls.start_soon(self._poll, follower)
        finally:
            self._api.close()
            for follower in list(self._followers.values()):
                self._fail(follower, self._closed(follower.run))

    def _closed(self, run: Run) -> SwfError:
        return SwfClientClosedError(
            "the SWF client closed while the execution was followed",
            domain=self._api.domain,
            workflow_id=run.workflow_id,
            run_id=run.run_id,
        )

    def _forget(self, follower: Follower) -> None:
        follower.due = None
        key = (follower.run, follower.keeps_events)
        if self._followers.get(key) is follower:
            del self._followers[key]

    def _fail(self, follower: Follower, error: SwfError) -> None:
        follower.error = error
        self._forget(follower)
        follower.notify()

    def _schedule(self, follower: Follower, due: float) -> None:
        follower.due = due
        heapq.heappush(self._queue, (due, next(self._ticket), follower))
        self._wake.set()

    async def _next_due(self) -> Follower:
        while True:
            self._wake = anyio.Event()
            while self._queue and self._queue[0][2].due != self._queue[0][0]:
                heapq.heappop(self._queue)  # no longer followed, or rescheduled
            if not self._queue:
                await self._wake.wait()
                continue
            due, _, follower = self._queue[0]
            wait = due - anyio.current_time()
            if wait <= 0:
                heapq.heappop(self._queue)
                follower.due, follower.polling = None, True
                return follower
            with anyio.move_on_after(wait):
                await self._wake.wait()

    async def read(self, run: Run) -> News:
        """Read all events of a run so far, at the shared rate.

        Raises:
            SwfError: A subclass that tells the cause.
        """
        try:
            return await read_news(self._fetch, run, after=0, page_size=MAX_PAGE, keep_events=True)
        except SwfError:
            raise
        except Exception as error:  # a history that is none of SWF's
            raise self._surprised(run, error) from error

    async def _poll(self, follower: Follower) -> None:
        try:
            if follower.wants_markers:
                news = await read_news(
                    self._fetch,
                    follower.run,
                    after=follower.read_through,
                    page_size=follower.page_size,
                    keep_events=follower.keeps_events,
                )
            else:
                news = await read_end(self._fetch, follower.run)
        except SwfError as error:
            self._refused(follower, error)
        except Exception as error:  # noqa: BLE001  waiting users get any error
            self._fail(follower, self._surprised(follower.run, error))
        else:
            follower.failing_since = None
            fresh = follower.take(news)
            follower.interval = self._limits.next_interval(follower.interval, news=fresh)
            if fresh or follower.settled:
                follower.notify()
        finally:
            follower.polling = False
            self._slots.release()
        self._poll_again(follower)

    def _poll_again(self, follower: Follower) -> None:
        if follower.users and not follower.settled:
            self._schedule(follower, anyio.current_time() + (0 if follower.hurried else follower.interval))
        follower.hurried = False

    def _refused(self, follower: Follower, error: SwfError) -> None:
        """Handle a failed poll: retry while the error may be transient and patience lasts."""
        now = anyio.current_time()
        if follower.failing_since is None:
            follower.failing_since = now
        if isinstance(error, SwfThrottledError):
            self._slow_down()
        may_pass = isinstance(error, SwfThrottledError | SwfUnreachableError)
        if may_pass and now - follower.failing_since < self._limits.patience:
            follower.interval = self._limits.next_interval(follower.interval, news=False)
            _logger.info("a poll of execution %s failed and is tried again: %s", follower.run.workflow_id, error)
        else:
            self._fail(follower, error)

    def _surprised(self, run: Run, error: Exception) -> SwfError:
        wrapped = SwfError(
            f"the history cannot be read: {type(error).__name__}: {error}",
            domain=self._api.domain,
            workflow_id=run.workflow_id,
            run_id=run.run_id,
            endpoint=self._api.endpoint,
        )
        wrapped.__cause__ = error
        return wrapped

    def _slow_down(self) -> None:
        if self._rate.throttled():
            _logger.warning(
                "SWF throttles: %d followed executions now share %.2g polls a second",
                len(self._followers),
                self._rate.per_second,
            )

    async def _fetch(self, run: Run, page_size: int, token: str | None) -> Any:
        await self._rate.turn()
        answer = await self._api.call(
            "get_workflow_execution_history",
            expect="events",
            about={"workflow_id": run.workflow_id, "run_id": run.run_id},
            execution={"workflowId": run.workflow_id, "runId": run.run_id},
            maximumPageSize=page_size,
            reverseOrder=True,
            **({"nextPageToken": token} if token else {}),
        )
        if answer.get("ResponseMetadata", {}).get("RetryAttempts"):
            self._slow_down()  # botocore had to retry: SWF throttles, or is overloaded
        else:
            self._rate.answered()
        return answer
