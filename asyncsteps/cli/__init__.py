"""The command ``asyncsteps``: run and plan workflows, and manage what a store holds.

All but `main` needs the extra ``cli``; `main` says so when it is missing.
"""

import json
import os
import sys
from collections.abc import Sequence

from asyncsteps.cli._json import is_asked_for

_NEEDED = ("attrs", "cyclopts", "pydantic", "rich")


def main(tokens: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code (documented in docs/command.md).

    Args:
        tokens: The arguments; those of this process by default.
    """
    given = sys.argv[1:] if tokens is None else tokens
    try:
        from asyncsteps.cli._app import run_command
        from asyncsteps.cli._exit import spare
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in _NEEDED:
            raise
        message = "the command needs the extra 'cli', which is not installed: pip install 'asyncsteps[cli]'"
        print(f"asyncsteps: error: {message}", file=sys.stderr)
        if is_asked_for(given):
            print(json.dumps({"errors": [message], "exit_code": 2}))
        return 2
    except KeyboardInterrupt:  # the imports take a while
        return 130
    code = run_command(given)
    if tokens is not None:
        spare()
    if tokens is None and is_asked_for(given):
        os.dup2(2, 1)  # what user code prints as the process exits is not part of the document
    return code
