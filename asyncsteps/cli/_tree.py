"""Step names as a tree, with the number of done steps in each group."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, Self

OPENED_UP_TO: Final = 20
"""A group with more members than this is rolled up, unless a depth is given."""


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


def roll_up(names: Iterable[str]) -> str:
    """Summarise the names in one line: ``census (213), report (2), setup.users``."""
    rolled: list[str] = []
    for segment, child in grow(names).children.items():
        path, node = segment, child
        while len(node.children) == 1 and not node.done:
            ((below, node),) = node.children.items()
            path = f"{path}.{below}"
        rolled.append(label(path, node))
    return ", ".join(rolled)


def label(segment: str, node: Node) -> str:
    """Label a segment with its count: ``census (213)``, or ``census (214, itself too)``."""
    if not node.children:
        return segment
    return f"{segment} ({node.total:,}{', itself too' if node.done else ''})"


def draw(root: Node, *, under: str = "*", depth: int | None = None) -> Iterator[str]:
    """Yield the lines of the tree below ``root``.

    Args:
        root: The result of `grow`.
        under: A selector; the group that it names is opened, whatever its size.
        depth: How many levels to open; None opens groups of up to `OPENED_UP_TO` members.
    """
    asked = [] if under == "*" else under.split(".")
    yield from _draw(root, indent="", level=1, asked=asked, depth=depth)


def _draw(node: Node, *, indent: str, level: int, asked: list[str], depth: int | None) -> Iterator[str]:
    last = len(node.children)
    for number, (segment, child) in enumerate(node.children.items(), start=1):
        yield f"{indent}{'└── ' if number == last else '├── '}{label(segment, child)}"
        # Only what the selector matches was listed: its segments are alone on their levels.
        opened = len(child.children) <= OPENED_UP_TO if depth is None else level < depth + len(asked)
        if opened or level <= len(asked):
            below = f"{indent}{'    ' if number == last else '│   '}"
            yield from _draw(child, indent=below, level=level + 1, asked=asked, depth=depth)
