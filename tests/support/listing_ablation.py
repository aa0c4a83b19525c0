"""What each guess of the key model is worth: every shape is listed with all of them, and with one left out.

``python tests/support/listing_ablation.py [KEYS]`` prints the table of docs/benchmarks.md.
"""

import asyncio
import sys
from typing import Any
from unittest.mock import patch

from listing_model import FLAT, SHAPES, ModelStore
from listing_support import PREFIX, listed

from asyncsteps.store._listing.key_model import Branching, KeyModel
from asyncsteps.testing import run_virtually

LEFT_OUT: dict[str, Any] = {
    "_borrowed": lambda self, key_prefix: Branching((), known=False),
    "_analogues": lambda self, key_prefix, *, tail: [],
    "_after_cousins": lambda self, key_prefix: set(),
    "_absent": lambda self, key_prefix, chars: set(),
    "_absent_after": lambda self, alike, chars: set(),
}


def cost(shape: str, keys: list[str]) -> str:
    """Requests and seconds of virtual time; bold where a promise for 100,000 keys is missed."""
    store = ModelStore(keys)

    async def timed() -> float:
        assert len(await listed(store)) == len(store.keys)
        return asyncio.get_running_loop().time()

    seconds = run_virtually(timed())
    text = f"{len(store.requests):,}, {seconds:.2f} s"
    missed = len(store.requests) > (1.4 if shape in FLAT else 1.8) * len(keys) / 1000 or seconds >= 0.8
    return f"**{text}**" if missed and len(keys) == 100_000 else text


def main(count: int = 100_000) -> None:
    columns = ["shape", "all", *(f"without `{name}`" for name in LEFT_OUT)]
    lines = [columns, ["---"] * len(columns)]
    for shape, make in SHAPES.items():
        keys = [PREFIX + name for name in make(count)]
        line = [shape, cost(shape, keys)]
        for name, substitute in LEFT_OUT.items():
            with patch.object(KeyModel, name, substitute):
                line.append(cost(shape, keys))
        lines.append(line)
    sys.stdout.writelines(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
