"""The command completion: a script with which a shell completes the command."""

from __future__ import annotations

from typing import Literal

from asyncsteps.cli import _output
from asyncsteps.cli._exit import ExitCode


def completion(shell: Literal["bash", "zsh", "fish"], /) -> int:
    """Write the script with which a shell completes commands and options; save it where the shell looks.

    Args:
        shell: The shell.
    """
    from asyncsteps.cli._app import app

    _output.emit(app.generate_completion(shell=shell).rstrip("\n"), raw=True)
    return ExitCode.OK
