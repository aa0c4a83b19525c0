"""Keys as positions in a key space: what they have in common, and what to expect next to them."""

import string

from asyncsteps._plan.order import prefix_end

DELIMITER = "."
"""What separates the segments of step names."""

SEPARATORS = frozenset(".-_/: ")


def common_prefix(one: str, other: str) -> str:
    """Return the longest common prefix of two strings."""
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


def constant_part(text: str) -> str:
    """Cut characters that all keys have in common before the first digit, or after the first delimiter."""
    for at, char in enumerate(text):
        if char in string.digits:
            return text[:at]
        if char == DELIMITER:
            return text[: at + 1]
    return text


def past_constant(parent: str, child: str, prefix: str) -> str | None:
    """Return the split point past a child without known siblings: past its group, or past its first letter."""
    for end in range(len(child), len(parent), -1):
        if child[end - 1] in SEPARATORS:
            return prefix_end(child[:end])
    if parent == prefix or parent[-1] in SEPARATORS:
        return prefix_end(child[: len(parent) + 1])
    return None


def expected_characters(seen: set[str], rest: str) -> set[str]:
    """Return the characters to expect where ``seen`` were seen: everything of their class.

    Args:
        seen: The characters seen.
        rest: What follows there in one of the keys; it tells hexadecimal digits from decimal ones.
    """
    expected = set(seen)
    if not seen.isdisjoint(string.digits):
        expected.update(string.digits)
        word = rest[: next((at for at, char in enumerate(rest) if not char.isalnum()), len(rest))]
        for hexadecimal in ("abcdef", "ABCDEF"):
            letters = {char for char in (*seen, *word) if char.isalpha()}
            if letters and letters.issubset(hexadecimal):
                expected.update(hexadecimal)
    for letters_of_case, hexadecimal in (
        (string.ascii_lowercase, "abcdef"),
        (string.ascii_uppercase, "ABCDEF"),
    ):
        letters = seen.intersection(letters_of_case)
        if letters and not (letters.issubset(hexadecimal) and expected.issuperset(string.digits)):
            expected.update(letters_of_case)
    return expected
