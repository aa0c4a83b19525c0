"""File names of step names: reversible, safe on any file system, and unchanged for ordinary names.

The encoding, a character at a time:

- lower-case ASCII letters, digits, ``.``, ``-`` and ``_`` stand for themselves;
- an upper-case ASCII letter is ``+`` and its lower-case one (some file systems do not tell cases apart);
- every other character is ``%`` and two lower-case hexadecimal digits for each byte of its UTF-8.

File systems stop at 255 bytes a name: an encoded name longer than 200 is cut after every 200 characters, and each
piece but the last is a directory, with ``~`` at its end.

So ``ingest.users.load`` is the file ``ingest.users.load``, ``Load été`` is ``+load%20%c3%a9t%c3%a9``, and a name
of 300 times ``a`` is ``aaa…a~/aaa…a``.
"""

import re

PIECE = 200
"""Characters of an encoded name that one file or directory carries."""

_ORDINARY = re.compile(r"[a-z0-9._-]+")
_ESCAPED = re.compile(r"\+([a-z])|((?:%[0-9a-f]{2})+)")


def encode_name(name: str) -> str:
    """The path of a step's file, relative to the store's directory, for any valid step name."""
    if len(name) <= PIECE and _ORDINARY.fullmatch(name):
        return name
    encoded = "".join(_encode(char) for char in name)
    pieces = [encoded[start : start + PIECE] for start in range(0, len(encoded), PIECE)]
    return "~/".join(pieces)


def _encode(char: str) -> str:
    if _ORDINARY.fullmatch(char):
        return char
    if "A" <= char <= "Z":
        return f"+{char.lower()}"
    return "".join(f"%{byte:02x}" for byte in char.encode())


def decode_path(path: str) -> str | None:
    """The name whose file ``path`` is; None when it is no name's, such as a name that is encoded otherwise."""
    if len(path) <= PIECE and _ORDINARY.fullmatch(path):
        return path
    try:
        name = _ESCAPED.sub(_decode, path.replace("~/", ""))
        return name if encode_name(name) == path else None
    except UnicodeError:
        return None


def _decode(escaped: re.Match[str]) -> str:
    upper, octets = escaped.groups()
    return upper.upper() if upper else bytes.fromhex(octets.replace("%", "")).decode()
