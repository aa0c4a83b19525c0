"""Converts any Python value to valid JSON."""

import json
import math
from collections.abc import Sequence
from itertools import takewhile
from typing import Any, Final

_DEEPEST: Final = 200
"""Below this level a container is written as its ``repr``."""

_NO: Final = {"false", "f", "no", "n", "0"}


def is_asked_for(tokens: Sequence[str]) -> bool:
    """Whether the arguments of the command ask for JSON, as far as can be seen before they are understood."""
    given = (token.partition("=") for token in takewhile("--".__ne__, tokens))
    return any(name == "--json" and value.lower() not in _NO for name, _, value in given)


def to_json(value: Any, *, ensure_ascii: bool = False, indent: int | None = None) -> str:
    """Convert any value to JSON; objects, tuples as keys, ``nan`` and cycles become their ``repr``."""
    try:
        return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, allow_nan=False, default=_repr)
    except Exception:  # noqa: BLE001 - users' values and their methods raise what they like
        return json.dumps(_plain(value, ()), ensure_ascii=ensure_ascii, indent=indent)


def _plain(value: Any, above: tuple[int, ...]) -> Any:
    """Convert to what `json.dumps` accepts; ``above`` holds the ids of enclosing containers."""
    try:
        if value is None or isinstance(value, str):
            return value
        if isinstance(value, int):
            int.__repr__(value)  # raises for thousands of digits
            return value
        if isinstance(value, float):
            return value if math.isfinite(value) else _repr(value)
        if len(above) < _DEEPEST and id(value) not in above:
            inside = (*above, id(value))
            if isinstance(value, dict):
                return {_key(key): _plain(each, inside) for key, each in value.items()}
            if isinstance(value, list | tuple):
                return [_plain(each, inside) for each in value]
    except Exception:  # noqa: BLE001, S110 - as above
        pass
    return _repr(value)


def _key(key: Any) -> Any:
    """Leave the keys that `json.dumps` turns into text itself."""
    return key if key is None or isinstance(key, str | int) else _repr(key)


def _repr(value: Any) -> str:
    try:
        return repr(value)
    except Exception as error:  # noqa: BLE001 - as above
        return f"<{type(value).__name__}, whose repr raises {type(error).__name__}>"
