"""The forms in which a list of done names travels through SWF, whose payloads end at 32,768 characters.

Plain names while they fit; then front-coded (each name as the length of the prefix that it shares with the one
before it, and the rest), compressed, in base 85; beyond that a pointer to a snapshot, or, where no snapshot may be
written, the list in parts. The forms are versioned: a decider refuses one that it does not know.
"""

import base64
import io
import json
import zlib
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from asyncsteps._plan.names import (
    EVERYTHING,
    SIMPLEFLOW,
    NameRule,
    check_step_name,
    is_step_name,
    selects_alone,
)
from asyncsteps.swf._constants import MAX_RESULT_CHARS
from asyncsteps.swf._errors import DoneListError

FORM = "asyncsteps.done"
VERSION = 1

MAX_LIST_BYTES = 64 * 2**20
"""The longest packed list that is read, in bytes before compression. Some millions of names are no longer."""

_REMEDY = "get_steps_done_activity() must give an activity whose result is a list of str"

BEFORE_ALL_NAMES = "\x1f"
"""Where the first part of a list begins: no name has a control character, so every one comes after it."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A pointer to an immutable object that holds a whole list.

    Attributes:
        prefix: The key prefix of the snapshots.
        name: Its name under that prefix.
        count: The number of names in it.
    """

    prefix: str
    name: str
    count: int


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a list that is too long for one result.

    Attributes:
        names: The names, sorted.
        through: The last of them, after which the next part begins; None in the last part.
    """

    names: list[str]
    through: str | None


class SortedNames:
    """An immutable set of names that keeps them sorted, and as they were given, too.

    Args:
        names: The names.
        by: The rule of names; what breaks it is kept as given, and is no member. None: all are members.
    """

    def __init__(self, names: Iterable[str], *, by: NameRule | None = None) -> None:
        self.given = list(names)
        self.sorted = sorted({name for name in self.given if by is None or is_step_name(name, by=by)})
        self._names = frozenset(self.sorted)

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def matching(self, selectors: Iterable[str]) -> Iterator[str]:
        """Yield the names that the selectors match, in no particular order; a name may come more than once."""
        for selector in selectors:
            if selector == EVERYTHING:
                yield from self.sorted
            else:
                yield from self._names.intersection(selects_alone(selector))
            # "/" is the character after ".", so this slice is all that starts with the selector and a dot.
            below = slice(bisect_left(self.sorted, f"{selector}."), bisect_left(self.sorted, f"{selector}/"))
            yield from self.sorted[below]


def size(value: Any) -> int:
    """The length of a JSON value in a payload, in characters, as simpleflow writes it."""
    return len(json.dumps(value, separators=(",", ":"), sort_keys=True))


def pack(names: Iterable[str]) -> dict[str, Any]:
    """Encode names in the compact form, sorted."""
    lines: list[str] = []
    previous = ""
    for name in sorted(names):
        shared = _shared(previous, name)
        # No name has a control character, so a tab and a newline can separate.
        lines.append(f"{shared:x}\t{name[shared:]}")
        previous = name
    data = base64.b85encode(zlib.compress("\n".join(lines).encode(), 9)).decode("ascii")
    return {"form": FORM, "version": VERSION, "count": len(lines), "packed": data}


def _shared(one: str, other: str) -> int:
    """How many characters two strings begin with in common."""
    for index, (left, right) in enumerate(zip(one, other, strict=False)):
        if left != right:
            return index
    return min(len(one), len(other))


def unpack(value: Mapping[str, Any]) -> list[str]:
    """Decode the names of a compact form.

    Raises:
        DoneListError: When it is damaged.
    """
    try:
        names: list[str] = []
        previous = ""
        for line in io.BytesIO(_decompressed(base64.b85decode(value["packed"]))):
            shared, _, rest = line.decode().removesuffix("\n").partition("\t")
            previous = previous[: int(shared, 16)] + rest
            names.append(check_step_name(previous, by=SIMPLEFLOW))
    except (KeyError, TypeError, ValueError, zlib.error) as error:
        raise DoneListError(f"a packed list of done steps cannot be read: {error}") from error
    if len(names) != value.get("count"):
        raise DoneListError(f"a packed list of {value.get('count')} done steps came out with {len(names)}")
    return names


def _decompressed(data: bytes) -> bytes:
    """Decompress a whole packed list.

    Raises:
        ValueError: When its end is missing, or it is longer than `MAX_LIST_BYTES`.
    """
    decompressor = zlib.decompressobj()
    text = decompressor.decompress(data, MAX_LIST_BYTES)
    if not decompressor.eof:
        raise ValueError(f"it does not end within {MAX_LIST_BYTES:,} bytes")
    return text


def short_form(names: list[str], *, limit: int = MAX_RESULT_CHARS) -> list[str] | dict[str, Any] | None:
    """Encode names in the plain form, or else in the compact one; None when neither fits ``limit`` characters."""
    if size(names) <= limit:
        return names
    packed = pack(names)
    return packed if size(packed) <= limit else None


def snapshot_form(snapshot: Snapshot) -> dict[str, Any]:
    """Encode a pointer to a snapshot."""
    return {
        "form": FORM,
        "version": VERSION,
        "count": snapshot.count,
        "snapshot": {"prefix": snapshot.prefix, "name": snapshot.name},
    }


def part_form(names: list[str], *, limit: int = MAX_RESULT_CHARS) -> dict[str, Any]:
    """Encode as many of the sorted ``names``, from the first on, as fit ``limit`` characters."""

    def form(count: int) -> dict[str, Any]:
        return pack(names[:count]) | {"through": names[count - 1] if count < len(names) else None}

    # One name always fits: even of the longest (1,024 bytes) there is room for some 20.
    fits, too_many = 1, len(names) + 1
    while too_many - fits > 1:
        middle = (fits + too_many) // 2
        if size(form(middle)) <= limit:
            fits = middle
        else:
            too_many = middle
    return form(fits)


def read_form(result: Any) -> Part | Snapshot:
    """Decode what a listing activity answered: names (``through`` is None for a whole list), or a pointer to them.

    Raises:
        DoneListError: When it is none of the forms.
    """
    if isinstance(result, list):
        return Part(listed_names(result), None)
    if not isinstance(result, Mapping) or result.get("form") != FORM:
        raise DoneListError(
            f"the listing of done steps answered neither names nor a form of them: {result!r:.200}"
        )
    if result.get("version") != VERSION:
        raise DoneListError(
            f"the listing of done steps answered version {result.get('version')!r} of its forms, and this is "
            f"version {VERSION}: bring deciders and workers to the same release of asyncsteps"
        )
    pointer = result.get("snapshot")
    if pointer is not None:
        return _read_pointer(pointer, result.get("count"))
    names, through = unpack(result), result.get("through")
    if through is not None and (not names or through != names[-1]):
        raise DoneListError(
            f"a part of a list of done steps goes on after {through!r:.200}, which is not its last"
        )
    return Part(names, through)


def listed_names(answer: Any) -> list[str]:
    """Return what a listing answered as names; one of the user's own may answer anything.

    Raises:
        DoneListError: When it is not names.
    """
    if not isinstance(answer, list | tuple | set | frozenset):
        raise DoneListError(f"the listing of done steps answered {answer!r:.200}; {_REMEDY}")
    for name in answer:
        if not isinstance(name, str):
            raise DoneListError(f"the listing of done steps answered {name!r:.200} among the names; {_REMEDY}")
    return list(answer)


def _read_pointer(pointer: Any, count: Any) -> Snapshot:
    if isinstance(pointer, Mapping):
        where = pointer.get("prefix"), pointer.get("name")
        if isinstance(where[0], str) and isinstance(where[1], str) and isinstance(count, int):
            return Snapshot(where[0], where[1], count)
    raise DoneListError(f"a pointer to a list of done steps cannot be read: {pointer!r:.200}")
