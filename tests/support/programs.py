"""Runs the programs of tests/support that fork: a process with threads, such as pytest's, had better not."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

SUPPORT = Path(__file__).parent


def told_by(program: str, *arguments: object, under: Sequence[object] = (), seconds: float = 110) -> Any:
    """Run a program and return the JSON that it writes.

    Args:
        program: The name of its file.
        arguments: What it is given.
        under: A command that runs it, such as strace.
        seconds: How long it may take.
    """
    command = [*under, sys.executable, SUPPORT / program, *arguments]
    ended = subprocess.run(
        [str(each) for each in command], capture_output=True, text=True, timeout=seconds, check=False
    )
    assert ended.returncode == 0, f"{ended.stdout[-2_000:]}\n{ended.stderr[-8_000:]}"
    return json.loads(ended.stdout)
