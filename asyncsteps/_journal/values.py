"""Reads the members of lines, which may be anything."""

from asyncsteps._journal.lines import Event


def text_of(value: object) -> str | None:
    return value if isinstance(value, str) else None


def number_of(value: object) -> float:
    return optional_number_of(value) or 0.0


def optional_number_of(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < 1e15 else None  # noqa: PLR2004 - no time is so long; infinite, or nan


def seconds_in(event: Event, member: str) -> float | None:
    """Return a member that is a number of microseconds, in seconds."""
    microseconds = optional_number_of(event.get(member))
    return None if microseconds is None else microseconds / 1e6


def counts_of(value: object) -> dict[str, int]:
    return {key: int(number_of(each)) for key, each in value.items()} if isinstance(value, dict) else {}


def pairs_of(value: object) -> tuple[tuple[str, str | None], ...]:
    """Return selectors with their reasons."""
    if not isinstance(value, list):
        return ()
    pairs = [each for each in value if isinstance(each, list) and len(each) == 2 and isinstance(each[0], str)]  # noqa: PLR2004 - a pair
    return tuple((selector, text_of(reason)) for selector, reason in pairs)
