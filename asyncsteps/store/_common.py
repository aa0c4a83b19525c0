"""The base of the stores: lifetime, checks of arguments, and the filter that tells step names from other keys."""

import abc
import contextlib
import logging
import os
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from typing import Self

from asyncsteps._errors import StepNameError, StoreClosedError
from asyncsteps._plan.names import (
    EVERYTHING,
    MAX_KEY_BYTES,
    STRICT,
    NameRule,
    check_selector,
    check_step_name,
    is_step_name,
)
from asyncsteps.store._protocol import OnForeign, OnProgress, StepStore

logger = logging.getLogger("asyncsteps.store")

_pid = os.getpid()
"""This process; the system is not asked again for each request."""

_LONGEST_UTF8 = 4
_SHOWN = 5


def _note_fork() -> None:
    global _pid  # noqa: PLW0603 -- a process has one
    _pid = os.getpid()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no forks
    os.register_at_fork(after_in_child=_note_fork)


def _are_names(keys: list[str]) -> bool:
    """Whether all ``keys`` are certainly step names, checked all at once. If False, check each of them."""
    joined = f"/{'/'.join(keys)}/"
    return (
        joined.isprintable()
        and joined.count("/") == len(keys) + 1
        and "" not in keys
        and EVERYTHING not in joined
        and ("." not in joined or not any(odd in joined for odd in ("..", "./", "/.")))
        and max(map(len, keys)) <= MAX_KEY_BYTES // _LONGEST_UTF8
    )


class KeyFilter:
    """Picks the step names out of one listing's keys and reports the unrecognised ones.

    Args:
        where: The store's URL, for the log.
        on_foreign: Called with each unrecognised key. None: log one warning when the listing ends.
        by: The rule of step names.
    """

    def __init__(self, where: str, on_foreign: OnForeign | None, *, by: NameRule = STRICT) -> None:
        self._where = where
        self._by: NameRule = by
        self._on_foreign = on_foreign
        self._unrecognised: list[str] = []
        self._count = 0

    def names(self, keys: list[str]) -> list[str]:
        """Return the step names among ``keys`` (which come without the prefix), in the same order."""
        if _are_names(keys):
            return keys
        names: list[str] = []
        for key in keys:
            if is_step_name(key, by=self._by):
                names.append(key)
            else:
                self.unrecognised(key)
        return names

    def unrecognised(self, key: str) -> None:
        """Report a key that is not a step name."""
        if self._on_foreign is not None:
            self._on_foreign(key)
            return
        self._count += 1
        if len(self._unrecognised) < _SHOWN:
            self._unrecognised.append(key)

    def close(self) -> None:
        """Log the warning about unrecognised keys, unless they went to ``on_foreign``."""
        if self._count:
            logger.warning(
                "%d keys in %s are no step names and are left alone, such as %s",
                self._count,
                self._where,
                ", ".join(map(repr, self._unrecognised)),
            )


class BaseStore(StepStore):
    """Base class of the stores.

    A store can be entered once, and used until its ``async with`` block ends, in the process that entered it: a
    forked child has neither the threads nor the event loop that the store works with, and shares its connections.
    """

    def __init__(self, prefix: str = "", *, step_names: NameRule = STRICT) -> None:
        self._prefix = prefix
        self._step_names: NameRule = step_names
        self._state = "not entered yet"
        self._pid = 0
        self._stack = contextlib.AsyncExitStack()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.url!r}>"

    async def __aenter__(self) -> Self:
        if self._state != "not entered yet":
            raise StoreClosedError("a store is entered once; open another one", url=self.url)
        self._state, self._pid = "open", _pid
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._state = "closed"
        if self._pid == _pid:  # else there is nothing of this process to close
            await self._stack.aclose()

    def check_name(self, name: str) -> None:
        """Check that ``name`` can be stored here.

        Raises:
            StepNameError: When it breaks a rule, the length of prefix and name among them.
        """
        check_step_name(name, prefix=self._prefix, by=self._step_names)

    async def list_done(
        self,
        under: str = EVERYTHING,
        *,
        on_foreign: OnForeign | None = None,
        on_progress: OnProgress | None = None,
    ) -> list[str]:
        """Return all done names that the selector ``under`` matches, sorted, each once."""
        names: list[str] = []
        async for batch in self.iter_done(under, on_foreign=on_foreign, on_progress=on_progress):
            names += batch
        names.sort()
        return names

    def iter_done(
        self,
        under: str = EVERYTHING,
        *,
        on_foreign: OnForeign | None = None,
        on_progress: OnProgress | None = None,
    ) -> AsyncIterator[list[str]]:
        """Yield the names of `list_done` in batches as they arrive, each name once, in no particular order.

        Close the iterator when leaving it early (``contextlib.aclosing``), to stop the requests in flight.
        """
        check_selector(under, by=self._step_names)
        self._require_open()
        return self._iterate(under, KeyFilter(self.url, on_foreign, by=self._step_names), on_progress)

    async def _iterate(
        self, under: str, key_filter: KeyFilter, on_progress: OnProgress | None
    ) -> AsyncGenerator[list[str], None]:
        try:
            async with contextlib.aclosing(self._batches(under, key_filter, on_progress)) as batches:
                async for names in batches:
                    self._require_open()
                    if names:
                        yield names
            self._require_open()
        finally:
            key_filter.close()

    async def nearby(self) -> list[str]:
        """Return the URLs of a few places beside this one that hold done steps, the most alike first.

        It looks at one page of names beside this store, and at one page in each of three of them.
        """
        return []

    @abc.abstractmethod
    def _batches(
        self, under: str, key_filter: KeyFilter, on_progress: OnProgress | None
    ) -> AsyncGenerator[list[str], None]:
        """Yield the names that ``under`` matches in batches, each once; pass other keys to ``key_filter``."""

    def _require_open(self) -> None:
        if self._state != "open":
            raise StoreClosedError(
                f"the store is {self._state}: use it inside its 'async with' block", url=self.url
            )
        if self._pid != _pid:
            raise StoreClosedError(
                f"the store was entered by another process ({self._pid}), and this one was forked from it: open a "
                "store of its own here",
                url=self.url,
            )

    def _checked(self, name: str) -> str:
        """Return ``name`` after checking that it can be stored and that the store is open."""
        self.check_name(name)
        self._require_open()
        return name

    def _checked_names(self, names: Iterable[str]) -> list[str]:
        """Return ``names`` sorted, each once, after checking each; a ``str`` is one name."""
        if not isinstance(names, str) and not isinstance(names, Iterable):
            raise StepNameError(names, f"names must be a str or an iterable of str, not {type(names).__name__}")
        wanted = [names] if isinstance(names, str) else list(names)
        for name in wanted:
            self.check_name(name)
        self._require_open()
        return sorted(set(wanted))
