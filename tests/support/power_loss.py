"""A model of a file system that loses power: what POSIX lets stay of calls that were made.

The content of a file is safe once it is synchronised, an entry of a directory (a creation, a move, a removal) once
the directory is. Of all others any part may be lost, each for itself.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import product
from pathlib import PurePath


@dataclass(eq=False, slots=True)
class _File:
    written: bool = False
    safe: bool = False


@dataclass(eq=False, slots=True)
class _Directory:
    safe: dict[str, "_Node"] = field(default_factory=dict)
    pending: list[tuple[str, "_Node | None"]] = field(default_factory=list)

    def now(self) -> dict[str, "_Node"]:
        return _applied(self.safe, self.pending)


_Node = _File | _Directory


def _applied(entries: dict[str, _Node], changes: Iterable[tuple[str, _Node | None]]) -> dict[str, _Node]:
    after = dict(entries)
    for name, node in changes:
        if node is None:
            after.pop(name, None)
        else:
            after[name] = node
    return after


class PowerLoss:
    """What may be on the disk after calls on an empty directory ``root``, as `SystemCalls` records them."""

    def __init__(self, root: str) -> None:
        self._root = PurePath(root)
        self._top = _Directory()

    def call(self, name: str, *paths: str) -> None:
        """Make one call."""
        match name:
            case "open":
                self._change(paths[0], _File())
            case "mkdir":
                if self._find(paths[0]) is None:
                    self._change(paths[0], _Directory())
            case "write":
                self._file(paths[0]).written = True
            case "fsync":
                self._sync(paths[0])
            case "link" | "replace" | "rename":
                self._move(*paths, keep=name == "link")
            case "unlink" | "remove" | "rmdir":
                node = self._find(paths[0])
                if node is not None and not (isinstance(node, _Directory) and node.now()):
                    self._change(paths[0], None)
            case _:
                raise ValueError(name)

    def states(self, *, ignored: str) -> Iterator[dict[str, bool]]:
        """Give what may be there after a loss of power: the path of each file, and whether its content is whole.

        Args:
            ignored: The name of a directory that is left out.
        """
        yield from _states(self._top, ignored)

    def _sync(self, path: str) -> None:
        node = self._find(path)
        if isinstance(node, _Directory):
            node.safe, node.pending = node.now(), []
        elif node is not None:
            node.safe = node.written

    def _move(self, source: str, target: str, *, keep: bool) -> None:
        if keep and self._find(target) is not None:
            return  # os.link refuses
        self._change(target, self._file(source))
        if not keep:
            self._change(source, None)

    def _find(self, path: str) -> _Node | None:
        node: _Node | None = self._top
        for part in PurePath(path).relative_to(self._root).parts:
            node = node.now().get(part) if isinstance(node, _Directory) else None
        return node

    def _file(self, path: str) -> _File:
        node = self._find(path)
        assert isinstance(node, _File), path
        return node

    def _change(self, path: str, node: _Node | None) -> None:
        above = self._find(str(PurePath(path).parent))
        assert isinstance(above, _Directory), path
        above.pending.append((PurePath(path).name, node))


def _states(directory: _Directory, ignored: str) -> Iterator[dict[str, bool]]:
    # Of the changes of one name any may be the last that stays, or none.
    entries: dict[str, list[_Node | None]] = {name: [node] for name, node in directory.safe.items()}
    for name, node in directory.pending:
        entries.setdefault(name, [None]).append(node)
    entries.pop(ignored, None)
    below = [[state for node in nodes for state in _below(name, node, ignored)] for name, nodes in entries.items()]
    for parts in product(*below):
        yield {path: whole for part in parts for path, whole in part.items()}


def _below(name: str, node: _Node | None, ignored: str) -> Iterator[dict[str, bool]]:
    if node is None:
        yield {}
    elif isinstance(node, _File):
        yield {name: node.safe}
    else:
        for state in _states(node, ignored):
            yield {f"{name}/{path}": whole for path, whole in state.items()}
