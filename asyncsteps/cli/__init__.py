"""The command ``asyncsteps``: run and plan workflows, and manage what a store holds.

All but ``--version`` needs the extra ``cli``; `main` says so when it is missing.
"""

import json
import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec

import asyncsteps
from asyncsteps.cli._json import is_asked_for

_NEEDED = ("attrs", "cyclopts", "pydantic", "rich")


def main(tokens: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code (documented in docs/command.md).

    Args:
        tokens: The arguments; those of this process by default.
    """
    given = sys.argv[1:] if tokens is None else tokens
    try:
        if [*given] == ["--version"]:
            return _print_version()
        if any(find_spec(name) is None for name in _NEEDED):
            return _say_what_is_missing(as_json=is_asked_for(given))
        from asyncsteps.cli._app import run_command
        from asyncsteps.cli._exit import spare
    except KeyboardInterrupt:  # the imports take a while
        return 130
    code = run_command(given)
    if tokens is not None:
        spare()
    if tokens is None and is_asked_for(given):
        os.dup2(2, 1)  # what user code prints as the process exits is not part of the document
    return code


def _print_version() -> int:
    """Print the version as the app would, which takes a third of a second to import."""
    from asyncsteps.cli import _output

    _output.prepare(())
    try:
        _output.emit(asyncsteps.__version__)
    except Exception as error:  # noqa: BLE001 - as for every command: stdout, or the distribution's metadata
        from asyncsteps.cli._exit import report

        return report(error, with_traceback=False)
    return 0


def _say_what_is_missing(*, as_json: bool) -> int:
    message = "the command needs the extra 'cli', which is not installed: pip install 'asyncsteps[cli]'"
    print(f"asyncsteps: error: {message}", file=sys.stderr)
    if as_json:
        print(json.dumps({"errors": [message], "exit_code": 2}))
    return 2
