"""Runs the command, in this process or as the installed script."""

import contextlib
import json
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from asyncsteps.cli import main

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
    *arguments: str | os.PathLike[str], env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Ended:
    """Run the command in this process: what its script does, without a new interpreter and its imports."""
    with (
        tempfile.TemporaryFile() as out,
        tempfile.TemporaryFile() as err,
        Path(os.devnull).open(encoding="utf-8") as stdin,
        patch.dict(os.environ, environment(env)),
        contextlib.chdir(cwd or Path.cwd()),
        _own_imports(),
        _no_log_handlers(),
    ):
        with (
            patch("sys.stdin", stdin),
            _written_to("stdout", 1, out.fileno()),
            _written_to("stderr", 2, err.fileno()),
        ):
            code = main([os.fspath(argument) for argument in arguments])
        written = [os.pread(file.fileno(), 100_000_000, 0).decode() for file in (out, err)]
    return _checked(Ended(code, *written), *arguments)


@contextlib.contextmanager
def _written_to(name: str, number: int, target: int) -> Iterator[None]:
    """Have the file descriptor, and Python's stream on it, write to ``target``."""
    getattr(sys, name).flush()
    ours = os.dup(number)
    try:
        os.dup2(target, number)
        with (
            open(number, "w", encoding="utf-8", closefd=False) as stream,
            patch(f"sys.{name}", stream),
        ):
            yield
    finally:
        os.dup2(ours, number)
        os.close(ours)


@contextlib.contextmanager
def _own_imports() -> Iterator[None]:
    """Forget the target afterwards, and what it imported from its folder."""
    path, modules = list(sys.path), set(sys.modules)
    try:
        yield
    finally:
        folders = set(sys.path) - set(path)
        sys.path[:] = path
        for name in set(sys.modules) - modules:
            file = getattr(sys.modules[name], "__file__", None)
            if file is not None and str(Path(file).parent) in folders:
                del sys.modules[name]


@contextlib.contextmanager
def _no_log_handlers() -> Iterator[None]:
    """Leave logging as a process finds it: pytest has handlers of its own."""
    with patch.object(logging.getLogger(), "handlers", []):
        yield


def installed(
    *arguments: str | os.PathLike[str],
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: str | None = None,
) -> Ended:
    """Run the installed script ``asyncsteps`` with the arguments, and wait for its end."""
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
    return _checked(Ended(ended.returncode, ended.stdout, ended.stderr), *arguments)


def _checked(ended: Ended, *arguments: str | os.PathLike[str]) -> Ended:
    assert "Traceback" not in ended.err or "--traceback" in arguments, ended.err
    return ended


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment and ``extra``; wide, so that help texts and tables do not wrap."""
    return {**os.environ, "COLUMNS": "120", **(extra or {})}
