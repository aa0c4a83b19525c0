"""Selectors as options give them, with a reason or a number."""

import re
from collections.abc import Sequence
from typing import Final

from asyncsteps.cli._exit import UsageError

_END: Final = re.compile(r"(?<!\\)=")

_COUNT: Final = re.compile("0*[1-9][0-9]{0,17}")


def selectors(given: Sequence[str]) -> list[tuple[str, str | None]]:
    r"""Split ``SELECTOR[=REASON]`` into pairs; ``\=``, and what it begins with, is an ``=`` of the selector."""
    pairs: list[tuple[str, str | None]] = []
    for text in given:
        rest = text.lstrip("=")
        selector, *reason = _END.split(rest, maxsplit=1)
        exactly = text[: len(text) - len(rest)]
        pairs.append((exactly + selector.replace(r"\=", "="), (reason[0] or None) if reason else None))
    return pairs


def limits(given: Sequence[str]) -> dict[str, int]:
    """Split ``SELECTOR=N`` into pairs; the last ``=`` ends the selector.

    Raises:
        UsageError: When one has no number, or one below 1, or a selector is given twice.
    """
    found: dict[str, int] = {}
    for text in given:
        selector, _, number = text.rpartition("=")
        selector = selector.replace(r"\=", "=")
        if not selector or not _COUNT.fullmatch(number):
            raise UsageError(
                f"--limit {text!r} is refused: it is SELECTOR=N, where N is 1 or more, as in load.stripe=5"
            )
        if selector in found:
            raise UsageError(f"--limit {selector}=… is given twice; give one of them")
        found[selector] = int(number)
    return found
