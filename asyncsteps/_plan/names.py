"""Step names and selectors: their rules, and how selectors match names."""

import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Final, Literal

from asyncsteps._errors import SelectorError, StepNameError

MAX_KEY_BYTES = 1024
"""The longest S3 key, in bytes of UTF-8: prefix and step name together."""

EVERYTHING = "*"
"""The selector that matches every name."""

EXACTLY = "="
"""What begins a selector of one name alone, without what is below it."""

NameRule = Literal["strict", "simpleflow"]
"""Which names and selectors are valid: ours, or what simpleflow takes, where the key stays under the prefix."""

STRICT: Final = "strict"
SIMPLEFLOW: Final = "simpleflow"

PROBES: Final = ".asyncsteps-doctor/"
"""Where ``asyncsteps swf doctor`` tries permissions below a prefix: what lies there is no step by any rule."""

_LEADS_OUT = {".", ".."}
_UNSENDABLE = {"Cc", "Cs"}


def _no_str(given: object) -> str:
    return f"it must be a str, not {type(given).__name__}"


@lru_cache(maxsize=1024)  # a name is checked when its step is made, when it is looked up, and when it is marked
def _broken_rule(name: str, by: NameRule) -> str | None:
    """Return the rule of step names that ``name`` breaks, or None."""
    if not name:
        return "it must have at least one segment of at least one character"
    rule = _broken_path(name) if by == SIMPLEFLOW else _broken_segment(name)
    if rule is None and not name.isprintable() and any(unicodedata.category(char) in _UNSENDABLE for char in name):
        rule = "it must not contain control characters or lone surrogates"
    elif rule is None and len(name.encode()) > MAX_KEY_BYTES:
        rule = f"it must be at most {MAX_KEY_BYTES} bytes of UTF-8, the longest S3 key"
    return rule


def _broken_segment(name: str) -> str | None:
    """Return the rule of asyncsteps for dotted names that ``name`` breaks, or None."""
    if "/" in name:
        return "it must not contain '/', which would leave the steps' prefix"
    if name == EVERYTHING:
        return "'*' is the selector of all steps"
    segments = name.split(".")
    if "" in segments:
        return "it must not have an empty segment (a leading, trailing or doubled '.')"
    if EVERYTHING in segments:
        return "a segment must not be '*', which stands alone as the selector of all steps"
    return None


def _broken_path(name: str) -> str | None:
    """Return what keeps the key of a name that simpleflow plays from being a step under the prefix, or None."""
    if name.startswith("/"):
        return "it must not begin with '/', which would leave the steps' prefix"
    if not _LEADS_OUT.isdisjoint(name.split("/")):
        return "it must not have '.' or '..' between slashes, which may lead out of the steps' prefix"
    if name.startswith(PROBES):
        return f"it must not begin with {PROBES!r}, where `asyncsteps swf doctor` puts its probes"
    return None


def is_step_name(name: object, *, by: NameRule = STRICT) -> bool:
    """Whether `check_step_name` accepts ``name``."""
    return isinstance(name, str) and _broken_rule(name, by) is None


def check_step_name(name: object, *, prefix: str = "", by: NameRule = STRICT) -> str:
    """Return ``name`` if it is a valid step name.

    A step name is one or more segments joined by dots, each of one or more characters: no ``/``, no control
    characters, no empty segment, no segment ``*``; with its prefix at most 1,024 bytes of UTF-8. Under the
    rule ``simpleflow``, dots, ``*`` and ``/`` are ordinary characters, but the name must not begin with ``/`` or
    `PROBES`, or have ``.`` or ``..`` between slashes.

    Args:
        name: The name to check.
        prefix: The key prefix that the name will be stored under.
        by: The rule.

    Raises:
        StepNameError: Naming the rule that is broken.
    """
    if not isinstance(name, str):
        raise StepNameError(name, _no_str(name))
    rule = _broken_rule(name, by)
    if rule is not None:
        raise StepNameError(name, rule)
    if prefix and (size := len(prefix.encode()) + len(name.encode())) > MAX_KEY_BYTES:
        raise StepNameError(
            name,
            f"prefix {prefix!r} and name make a key of {size} bytes of UTF-8, and S3 allows {MAX_KEY_BYTES}; "
            "shorten one of them",
        )
    return name


def check_selector(selector: object, *, by: NameRule = STRICT) -> str:
    """Return ``selector`` if it is well-formed: ``*``, a step name, or ``=`` and a step name.

    By the rule ``simpleflow`` any str is.

    Raises:
        SelectorError: Naming the rule that is broken.
    """
    if not isinstance(selector, str):
        raise SelectorError(selector, _no_str(selector))
    if by == STRICT and selector != EVERYTHING:
        *_, rule = (_broken_rule(name, by) for name in selects_alone(selector))
        if rule is not None and not is_step_name(selector, by=by):
            raise SelectorError(selector, rule)
    return selector


def matches(selector: str, name: str) -> bool:
    """Whether ``selector`` selects ``name``.

    ``*`` selects every name. ``a.b`` selects ``a.b`` and what is below it, ``=a.b`` selects ``a.b`` alone. A name
    may begin with ``=``, as it always could: what selected it before still does, so ``=x`` selects a step ``=x``,
    and what is below that, besides ``x``.
    """
    return (
        selector in {EVERYTHING, name}
        or name.startswith(f"{selector}.")
        or (selector.startswith(EXACTLY) and selector[1:] == name)
    )


def selects_alone(selector: str) -> tuple[str, ...]:
    """Return the names that ``selector``, which is not ``*``, selects besides those `below` it."""
    return (selector, selector[1:]) if selector.startswith(EXACTLY) and selector != EXACTLY else (selector,)


def below(selector: str) -> tuple[str, str | None]:
    """Return the bounds ``(low, high)`` of the names below ``selector``, which does not include itself.

    Every name below it lies between the two, and no other name does. Neither bound is a name by the strict rule,
    so whether it is included does not matter. ``low`` is also the prefix that these names share. ``high`` is None
    for ``*``.
    """
    # "/" follows "." in order of code points, and no name of the strict rule holds one.
    return ("", None) if selector == EVERYTHING else (f"{selector}.", f"{selector}/")


def selectors_of(name: str) -> Iterator[str]:
    """Yield every selector that matches ``name``: ``*``, its ancestors, itself, itself alone."""
    yield EVERYTHING
    yield f"{EXACTLY}{name}"
    dot = name.find(".")
    while dot >= 0:
        yield name[:dot]
        dot = name.find(".", dot + 1)
    yield name


def as_selectors(given: object, *, by: NameRule = STRICT) -> tuple[str, ...]:
    """Convert a caller's selectors to a tuple; one ``str`` is one selector.

    Raises:
        SelectorError: When one is malformed, or ``given`` is no str and no iterable of str.
    """
    if isinstance(given, str):
        return (check_selector(given, by=by),)
    if not isinstance(given, Iterable):
        raise SelectorError(given, f"it must be a str or an iterable of str, not {type(given).__name__}")
    return tuple(check_selector(selector, by=by) for selector in given)


def as_reasoned_selectors(given: object, *, by: NameRule = STRICT) -> tuple[tuple[str, str | None], ...]:
    """Convert selectors, or a mapping of selector to reason, to pairs of selector and reason.

    Raises:
        SelectorError: When a selector is malformed, or a reason is neither a str nor None.
    """
    if not isinstance(given, Mapping):
        return tuple((selector, None) for selector in as_selectors(given, by=by))
    pairs: list[tuple[str, str | None]] = []
    for selector, reason in given.items():
        if reason is not None and not isinstance(reason, str):
            raise SelectorError(selector, f"its reason must be a str or None, not {type(reason).__name__}")
        pairs.append((check_selector(selector, by=by), reason))
    return tuple(pairs)
