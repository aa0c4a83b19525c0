"""Strings as places in a key space: what they share, what lies just above them, what to suppose beside them."""

import string

DELIMITER = "."
"""What separates the segments of step names."""

LAST_CHARACTER = chr(0x10FFFF)

SEPARATORS = frozenset(".-_/: ")
_SURROGATES = range(0xD800, 0xE000)
_FIRST_PRINTABLE = 0x20
_MOST_CHARACTERS = 256
"""As many as a key of 1,024 bytes holds of the last one."""


def bump(text: str) -> str:
    """The least string above every string that starts with ``text``; for ``""`` one above every key."""
    while text:
        code = ord(text[-1]) + 1
        if code in _SURROGATES:
            code = _SURROGATES.stop
        if code <= ord(LAST_CHARACTER):
            return text[:-1] + chr(code)
        text = text[:-1]
    return LAST_CHARACTER * (_MOST_CHARACTERS + 1)


def just_before(text: str, *, top: str) -> str:
    """A string that sorts before ``text``, and after what else sorts before it as far as ``top`` sorts last."""
    code = ord(text[-1]) - 1
    if code < _FIRST_PRINTABLE:  # servers repeat it in their replies, and XML has no control characters
        return text[:-1]
    if code in _SURROGATES:
        code = _SURROGATES.start - 1
    return text[:-1] + chr(code) + top


def shared(one: str, other: str) -> str:
    """What two strings begin with, both."""
    if other.startswith(one):
        return one
    low, high = 0, min(len(one), len(other))
    while low < high:  # one and other agree up to low
        middle = (low + high + 1) // 2
        if one.startswith(other[:middle]):
            low = middle
        else:
            high = middle - 1
    return one[:low]


def constant_part(run: str) -> str:
    """Of characters that all keys have in common, those up to the next digit, or through the next delimiter."""
    for at, char in enumerate(run):
        if char in string.digits:
            return run[:at]
        if char == DELIMITER:
            return run[: at + 1]
    return run


def past_constant(parent: str, child: str, prefix: str) -> str | None:
    """The pivot past a child that has no known sibling: past its group, or past its first letter."""
    for end in range(len(child), len(parent), -1):
        if child[end - 1] in SEPARATORS:
            return bump(child[:end])
    if parent == prefix or parent[-1] in SEPARATORS:
        return bump(child[: len(parent) + 1])
    return None


def closure(seen: set[str], rest: str) -> set[str]:
    """The characters to suppose where those were seen: all of their class."""
    supposed = set(seen)
    if not seen.isdisjoint(string.digits):
        supposed.update(string.digits)
        word = rest[: next((at for at, char in enumerate(rest) if not char.isalnum()), len(rest))]
        for hexadecimal in ("abcdef", "ABCDEF"):
            letters = {char for char in (*seen, *word) if char.isalpha()}
            if letters and letters.issubset(hexadecimal):
                supposed.update(hexadecimal)
    for letters_of_case, hexadecimal in (
        (string.ascii_lowercase, "abcdef"),
        (string.ascii_uppercase, "ABCDEF"),
    ):
        letters = seen.intersection(letters_of_case)
        if letters and not (letters.issubset(hexadecimal) and supposed.issuperset(string.digits)):
            supposed.update(letters_of_case)
    return supposed
