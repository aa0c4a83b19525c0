"""Done records as bytes and back: a JSON object, checked before anything is stored."""

import json
from collections.abc import Mapping
from typing import Any

from asyncsteps._errors import RecordError


def encode_record(name: str, record: Mapping[str, Any], *, indent: int | None = None) -> bytes:
    """``record`` as a JSON object in UTF-8.

    Args:
        name: The step's name, for the error.
        record: A mapping of JSON values.
        indent: Spaces to indent by, for people who read it.

    Raises:
        RecordError: When it is no mapping of JSON values.
    """
    if not isinstance(record, Mapping):
        raise RecordError(
            f"a done record must be a mapping of JSON values, not {type(record).__name__}", step=name
        )
    try:
        content = dict(record)
        _check_keys(content)
        text = json.dumps(content, indent=indent, ensure_ascii=False, allow_nan=False)
        try:
            return text.encode()
        except UnicodeEncodeError:  # lone surrogates, which only an escape can carry
            return json.dumps(content, indent=indent).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise RecordError(
            f"a done record must be a mapping of JSON values (dict with str keys, list, str, int, finite float, "
            f"bool, None): {error}",
            step=name,
        ) from error


def decode_record(name: str, body: bytes, **where: str | None) -> dict[str, Any]:
    """The mapping that ``body`` holds.

    Raises:
        RecordError: When it is no JSON object; ``where`` names the place.
    """
    try:
        record = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RecordError(
            f"what is stored for it is no JSON ({error}); the step counts as done all the same, by its key",
            step=name,
            **where,
        ) from error
    if not isinstance(record, dict):
        raise RecordError(
            f"what is stored for it is no JSON object but {type(record).__name__}; the step counts as done all "
            "the same, by its key",
            step=name,
            **where,
        )
    return record


def _check_keys(value: object) -> None:
    """Refuse keys that JSON would turn into strings, silently."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise TypeError(f"the key {key!r} is {type(key).__name__}, not str")
            _check_keys(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            _check_keys(inner)
