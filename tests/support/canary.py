"""A tree of files around what is tested, which must be the same afterwards."""

import os
import stat
from pathlib import Path

Snapshot = dict[str, tuple[int, str | bytes]]


def snapshot(tree: Path, *, but: Path | None = None) -> Snapshot:
    """What each path below ``tree`` is and holds; all but ``but`` and what is below it."""
    found: Snapshot = {}
    for folder, folders, files in os.walk(tree):
        if but is not None and Path(folder) == but:
            folders.clear()
            continue
        for name in (*folders, *files):
            path = Path(folder, name)
            if path == but:
                continue
            mode = path.lstat().st_mode
            held: str | bytes = b""
            if stat.S_ISLNK(mode):
                held = str(path.readlink())
            elif stat.S_ISREG(mode):
                held = path.read_bytes()
            found[str(path)] = (mode, held)
    return found
