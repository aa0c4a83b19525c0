"""Encodes step names as file names: reversibly, safely on any file system, ordinary names unchanged.

Each character is encoded by itself:

- lower-case ASCII letters, digits, ``.``, ``-`` and ``_`` stand for themselves;
- an upper-case ASCII letter is ``+`` and the lower-case letter, since some file systems ignore case;
- every other character is ``%`` and two lower-case hexadecimal digits for each byte of its UTF-8.

File names are limited to 255 bytes. A longer encoded name is cut after every 200 characters; each piece but
the last becomes a directory, with ``~`` appended.

For example, ``ingest.users.load`` is the file ``ingest.users.load``, ``Load été`` is ``+load%20%c3%a9t%c3%a9``,
and a name of 300 times ``a`` is ``aaa…a~/aaa…a``.
"""

import re
from functools import lru_cache

from asyncsteps._plan.names import MAX_KEY_BYTES

PIECE = 200
"""The most characters of an encoded name in the name of one file or directory."""

DEEPEST = 3 * MAX_KEY_BYTES // PIECE
"""The most directories above the file of a name: three characters for each byte of the longest."""

_ORDINARY = re.compile(r"[a-z0-9._-]+")
_OTHERS = re.compile(r"[^a-z0-9._-]+")
_ESCAPES = re.compile(r"(?:\+[a-z])+|(?:%[0-9a-f]{2})+")


def encode_name(name: str) -> str:
    """Return the path of a step's file, relative to the store's directory."""
    if len(name) <= PIECE and _ORDINARY.fullmatch(name):
        return name
    encoded = _OTHERS.sub(lambda others: _encode(others[0]), name)
    if len(encoded) <= PIECE:
        return encoded
    pieces = [encoded[start : start + PIECE] for start in range(0, len(encoded), PIECE)]
    return "~/".join(pieces)


def decode_path(path: str) -> str | None:
    """Return the name that `encode_name` gives this path; None when there is none."""
    if len(path) <= PIECE and _ORDINARY.fullmatch(path):
        return path
    name = path.replace("~/", "")
    try:
        if "+" in name or "%" in name:
            name = _ESCAPES.sub(lambda escapes: _decode(escapes[0]), name)
        return name if encode_name(name) == path else None
    except UnicodeError:
        return None


@lru_cache  # a listing has the same few again and again
def _encode(others: str) -> str:
    return "".join(
        [
            f"+{char.lower()}" if "A" <= char <= "Z" else "".join(f"%{byte:02x}" for byte in char.encode())
            for char in others
        ]
    )


@lru_cache
def _decode(escapes: str) -> str:
    if escapes.startswith("+"):
        return escapes.replace("+", "").upper()
    return bytes.fromhex(escapes.replace("%", "")).decode()
