"""Payloads of SWF: JSON as simpleflow writes it, by one rule for the client and for `to_simpleflow`."""

import datetime as dt
import json
from typing import Any
from uuid import UUID

from asyncsteps.swf._constants import MAX_RESULT_CHARS


def encode_payload(value: Any) -> str:
    """Encode a payload: compact JSON with sorted keys.

    Bytes, dates, times, UUIDs and sets are written as simpleflow writes them, but that a set is a sorted list, so
    that every replay writes the same.

    Raises:
        ValueError: When it is no JSON: saying why, such as a key that is no str, or a number that is not finite.
    """
    try:
        text = json.dumps(value, separators=(",", ":"), sort_keys=True, allow_nan=False, default=_simplify)
    except (TypeError, ValueError, RecursionError) as error:
        # Keys of several types cannot be sorted, which is not what is wrong with them.
        raise ValueError((isinstance(error, TypeError) and _odd_key(value)) or str(error)) from error
    problem = _odd_key(value)
    if problem is not None:
        raise ValueError(problem)
    return text


def received(value: Any) -> Any:
    """What whoever reads a payload gets for ``value``: itself where it is JSON, else what JSON makes of it.

    Raises:
        ValueError: When it is no JSON.
    """
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return json.loads(encode_payload(value))
    problem = _odd_key(value)
    if problem is not None:
        raise ValueError(problem)
    return value


def length_problem(length: int, limit: int = MAX_RESULT_CHARS) -> str | None:
    """What is wrong with a payload of ``length`` characters, and the remedy; None when SWF takes it."""
    if length <= limit:
        return None
    return f"{length:,} characters of JSON, and SWF takes {limit:,}; put it on S3 and give its key"


def _simplify(value: object) -> object:
    """Encode types that JSON does not have as simpleflow's encoder does."""
    simple: object
    match value:
        case bytes():
            simple = value.decode("utf-8", errors="replace")
        case dt.datetime():
            text = value.isoformat()
            if value.microsecond:
                text = text[:23] + text[26:]
            simple = f"{text.removesuffix('+00:00')}Z" if text.endswith("+00:00") else text
        case dt.time():
            simple = value.isoformat()[:12] if value.microsecond else value.isoformat()
        case dt.date():
            simple = value.isoformat()
        case UUID():
            simple = str(value)
        case set() | frozenset():
            simple = sorted(value, key=lambda member: json.dumps(member, default=_simplify))
        case _ if hasattr(type(value), "__factory__"):  # a lazy proxy of a result that simpleflow keeps on S3
            simple = value.__wrapped__  # type: ignore[attr-defined]
        case _:
            raise TypeError(f"{type(value).__name__} is no JSON value")
    return simple


def _odd_key(value: Any) -> str | None:
    # json.dumps turns an int key into a str, so the reader would get another dict.
    within: list[Any] = []
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                return f"the key {key!r} is a {type(key).__name__}, and keys are str"
        within = list(value.values())
    elif isinstance(value, list | tuple):
        within = list(value)
    return next((problem for problem in map(_odd_key, within) if problem is not None), None)
