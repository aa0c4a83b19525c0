"""Bounds of ranges of strings in order of code points, which is the order of their UTF-8 and so of S3's keys."""

from asyncsteps._plan.names import MAX_KEY_BYTES

LAST_CHARACTER = chr(0x10FFFF)

_SURROGATES = range(0xD800, 0xE000)
_FIRST_PRINTABLE = 0x20


def prefix_end(prefix: str) -> str:
    """Return the least string above every string that starts with ``prefix``; for ``""``, one above every key."""
    while prefix:
        code = ord(prefix[-1]) + 1
        if code in _SURROGATES:
            code = _SURROGATES.stop
        if code <= ord(LAST_CHARACTER):
            return prefix[:-1] + chr(code)
        prefix = prefix[:-1]
    return LAST_CHARACTER * (MAX_KEY_BYTES // 4 + 1)


def just_before(text: str) -> str:
    """Return a string below ``text``, as close to it as a key can be, to start a page after.

    It holds no control character unless ``text`` does: servers repeat it in their replies, and XML has none. It is
    at most `MAX_KEY_BYTES` of UTF-8 where ``text`` is.
    """
    head, code = text[:-1], ord(text[-1]) - 1
    if code < _FIRST_PRINTABLE:
        return head
    if code in _SURROGATES:
        code = _SURROGATES.start - 1
    fits = len(text.encode()) + len(LAST_CHARACTER.encode()) <= MAX_KEY_BYTES
    return head + chr(code) + LAST_CHARACTER * fits
