"""Encodes and decodes done records, which are JSON objects."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from asyncsteps._errors import RecordError

MAX_RECORD_BYTES = 64 * 2**20
"""The longest record, in bytes: what a store is given to read may be of any length."""


def _encoder(indent: int | None) -> json.JSONEncoder:
    return json.JSONEncoder(indent=indent, ensure_ascii=False, allow_nan=False)


_ENCODER = _encoder(None)

_CONTAINERS = (dict, list, tuple)


def encode_record(name: str, record: Mapping[str, Any], *, indent: int | None = None) -> bytes:
    """Encode ``record`` as a JSON object in UTF-8.

    Args:
        name: The step's name, for the error.
        record: A mapping of JSON values.
        indent: Spaces to indent by; None writes one line.

    Raises:
        RecordError: When it is not a mapping of JSON values, or longer than `MAX_RECORD_BYTES`.
    """
    if not isinstance(record, Mapping):
        raise RecordError(
            f"a done record must be a mapping of JSON values, not {type(record).__name__}", step=name
        )
    try:
        content = dict(record)
        _check_keys(content)
        encoder = _ENCODER if indent is None else _encoder(indent)
        text = encoder.encode(content)
        try:
            body = text.encode()
        except UnicodeEncodeError:  # lone surrogates, which only an escape can carry
            body = json.dumps(content, indent=indent).encode()
    except Exception as error:  # a mapping of the caller's own may raise anything
        raise RecordError(
            f"a done record must be a mapping of JSON values (dict with str keys, list, str, int, finite float, "
            f"bool, None): {error}",
            step=name,
        ) from error
    check_length(len(body), step=name)
    return body


def check_length(length: int, **where: Any) -> None:
    """Check how many bytes a record has.

    Args:
        length: The bytes.
        where: Where it is stored, for the error.

    Raises:
        RecordError: When they are more than `MAX_RECORD_BYTES`.
    """
    if length > MAX_RECORD_BYTES:
        raise RecordError(
            f"a done record has at most {MAX_RECORD_BYTES:,} bytes, and this one has more: save less, such as the "
            "place where the result is stored",
            **where,
        )


def decode_record(name: str, body: bytes, **where: str | None) -> dict[str, Any]:
    """Decode the JSON object in ``body``.

    Args:
        name: The step's name, for the error.
        body: What is stored.
        where: Where it is stored, for the error: ``url``, or ``bucket`` and ``key``.

    Raises:
        RecordError: When it is not a JSON object, or longer than `MAX_RECORD_BYTES`.
    """
    check_length(len(body), step=name, **where)
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


def _check_keys(value: Iterable[Any]) -> None:
    """Refuse keys that JSON would silently turn into strings."""
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise TypeError(f"the key {key!r} is {type(key).__name__}, not str")
        value = value.values()
    for inner in value:
        if isinstance(inner, _CONTAINERS):
            _check_keys(inner)
