"""Makes a history that breaks a rule as small as it stays broken."""

from collections.abc import Iterator
from dataclasses import MISSING, fields, replace
from typing import Any

from simulation.history import tell
from simulation.spec import Act, History, Many

_MOST_TRIES = 3000


def smaller(value: Any) -> Iterator[Any]:
    """What ``value`` may become with a little less in it: parts left out, then parts made as ever."""
    if isinstance(value, tuple):
        for index, part in enumerate(value):
            yield value[:index] + value[index + 1 :]
            for less in smaller(part):
                yield (*value[:index], less, *value[index + 1 :])
        return
    if not hasattr(value, "__dataclass_fields__"):
        return
    if isinstance(value, Many):
        yield from value.members
    if isinstance(value, Act):
        yield from (each.item for each in value.nested)
    for field in fields(value):
        now = getattr(value, field.name)
        if field.default is not MISSING and now != field.default:
            yield replace(value, **{field.name: field.default})
        for less in smaller(now):
            yield replace(value, **{field.name: less})


def shrink(history: History, rule: str) -> History:
    """Return the smallest history found near ``history`` that breaks the same rule."""
    tries = 0
    found = True
    while found and tries < _MOST_TRIES:
        found = False
        for candidate in smaller(history):
            tries += 1
            if tries > _MOST_TRIES:
                break
            if _breaks(candidate, rule):
                history, found = candidate, True
                break
    return history


def _breaks(history: History, rule: str) -> bool:
    try:
        return rule in tell(history).broken
    except Exception:  # noqa: BLE001 - what is left makes no sense
        return False
