"""Step names as a tree, with the number of steps in each group."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final, NamedTuple, Self

LINES: Final = 40
"""How many lines a tree takes, where no terminal says how many fit."""

_ROLLED: Final = 8
"""A summary in one line names up to so many groups and steps."""


@dataclass(slots=True)
class Node:
    """A segment in the tree.

    Attributes:
        done: Whether the name that ends here is itself done.
        total: The number of done names here and below.
        children: The nodes below by segment, in the order of the names.
    """

    done: bool = False
    total: int = 0
    children: dict[str, Self] = field(default_factory=dict)


def grow(names: Iterable[str]) -> Node:
    """Build the tree of the names."""
    root = Node()
    for name in names:
        node = root
        node.total += 1
        for segment in name.split("."):
            node = node.children.setdefault(segment, Node())
            node.total += 1
        node.done = True
    return root


def roll_up(names: Iterable[str], *, at_most: int = _ROLLED) -> str:
    """Summarise the names in one line: ``census (213), report (2), setup.users``.

    Levels are opened one after the other while all that is named fits; what does not fit is counted.
    """
    parts = [("", grow(names))]
    while True:
        opened = [part for path, node in parts for part in _opened(path, node)]
        if opened == parts or (len(opened) > at_most and parts[0][0]):
            break
        parts = opened
    shown = [_rolled(path, node) for path, node in parts[:at_most]]
    if rest := parts[at_most:]:
        total = sum(node.total for _, node in rest)
        what = "more groups" if any(node.children for _, node in rest) else "more"
        shown.append(f"and {len(rest):,} {what}" + (f" ({total:,})" if total > len(rest) else ""))
    return ", ".join(shown)


def _opened(path: str, node: Node) -> list[tuple[str, Node]]:
    """What is named instead of a group: itself, if it is a step too, and what is below; at most one level."""
    if not node.children:
        return [(path, node)]
    itself = [(path, Node(done=True, total=1))] if node.done else []
    return itself + [(f"{path}.{segment}" if path else segment, child) for segment, child in node.children.items()]


def _rolled(path: str, node: Node) -> str:
    while len(node.children) == 1 and not node.done:
        ((below, node),) = node.children.items()
        path = f"{path}.{below}"
    return f"{path} ({node.total:,})" if node.children else path


def label(segment: str, node: Node) -> str:
    """Label a segment with its count: ``census (213)``, or ``census (214, itself too)``."""
    if not node.children:
        return segment
    return f"{segment} ({node.total:,}{', itself too' if node.done else ''})"


class Branch(NamedTuple):
    """A line of a tree.

    Attributes:
        text: The line.
        path: The name that ends here.
        node: What is drawn.
    """

    text: str
    path: str
    node: Node


def draw(root: Node, *, under: str = "*", depth: int | None = None, lines: int = LINES) -> Iterator[Branch]:
    """Yield the lines of the tree below ``root``.

    Args:
        root: The result of `grow`.
        under: A selector; the group that it names is opened, whatever its size.
        depth: How many levels to open; None opens levels one after the other while their lines fit, and of the
            last the smallest groups.
        lines: How many lines fit.
    """
    asked = [] if under == "*" else under.split(".")
    if depth is None:
        opened = _evenly(root, len(asked), lines)
        yield from _draw(root, "", "", 1, lambda node, _: id(node) in opened)
    else:
        # Only what the selector matches was listed: its segments are alone on their levels.
        yield from _draw(root, "", "", 1, lambda _, level: level < depth + len(asked))


def _evenly(root: Node, asked: int, lines: int) -> set[int]:
    """Which groups are opened so that the lines fit, by `id`."""
    opened: set[int] = set()
    level: Sequence[Node] = [*root.children.values()]
    number, left = 1, lines - len(level)
    while groups := sorted((each for each in level if each.children), key=_members):
        for members, of_one_size in groupby(groups, _members):  # all of them are opened, or none
            alike = list(of_one_size)
            if number > asked and members * len(alike) > left:
                return opened
            left -= members * len(alike)
            opened.update(map(id, alike))
        level = [child for group in groups for child in group.children.values()]
        number += 1
    return opened


def _members(node: Node) -> int:
    return len(node.children)


def _draw(
    node: Node, above: str, indent: str, level: int, is_opened: Callable[[Node, int], bool]
) -> Iterator[Branch]:
    last = len(node.children)
    for number, (segment, child) in enumerate(node.children.items(), start=1):
        path = f"{above}.{segment}" if above else segment
        yield Branch(f"{indent}{'└── ' if number == last else '├── '}{label(segment, child)}", path, child)
        if is_opened(child, level):
            below = f"{indent}{'    ' if number == last else '│   '}"
            yield from _draw(child, path, below, level + 1, is_opened)
