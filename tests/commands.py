"""The installed command, run as a process."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COMMAND = Path(sys.executable).parent / "asyncsteps"


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended, and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def command(
    *arguments: str | os.PathLike[str],
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: str | None = None,
) -> Ended:
    """Run ``asyncsteps`` with the arguments, and wait for its end."""
    ended = subprocess.run(
        [COMMAND, *arguments],
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        text=True,
        encoding="utf-8",
        env=environment(env),
        cwd=cwd,
        timeout=100,
        check=False,
    )
    assert "Traceback" not in ended.stderr or "--traceback" in arguments, ended.stderr
    return Ended(ended.returncode, ended.stdout, ended.stderr)


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment and ``extra``; wide, so that help texts and tables do not wrap."""
    return {**os.environ, "COLUMNS": "120", **(extra or {})}
