"""A program for test_store_directory_file_systems: all that a directory store does, in a given directory.

Prints the kind of file system and what it found, as a line of JSON.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from asyncsteps import DirectoryStore

NAMES = [f"step-{number:02d}" for number in range(64)]
LONG = [f"{'Long ' * 90}{number}" for number in range(3)]


def file_system_of(path: Path) -> str:
    """Give the kind of the file system that ``path`` is on, as Linux names it."""
    mounts = [line.split(" ") for line in Path("/proc/self/mounts").read_text().splitlines()]
    around = [(len(mounted), kind) for _, mounted, kind, *_ in mounts if path.is_relative_to(mounted)]
    return max(around)[1]


async def tour(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = {"file_system": file_system_of(path)}
    async with DirectoryStore(path / "steps") as store:
        found["marked"] = await asyncio.gather(*(store.mark_done(name, {"n": 1}) for name in [*NAMES, *LONG]))
        found["first"] = await asyncio.gather(*(store.mark_done("a", {"n": n}, first_wins=True) for n in range(8)))
        found["again"] = [await store.mark_done("b", {"n": n}) for n in range(3)]
    async with DirectoryStore(path / "steps") as store:
        unrecognised: list[str] = []
        found["listed"] = await store.list_done(on_foreign=unrecognised.append)
        found["unrecognised"] = unrecognised
        found["records"] = [await store.read_done(name) for name in ("a", "b", LONG[0])]
        found["withdrawn"] = await store.withdraw(found["listed"])
        found["left"] = [each.name for each in store.path.rglob("*")]
    return found


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(tour(Path(sys.argv[1])))))
