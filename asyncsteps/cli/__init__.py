"""The command ``asyncsteps``: run and plan workflows, and look after what a store holds.

Everything behind `main` needs the extra ``cli``; `main` itself says so where that is missing.
"""

import sys
from collections.abc import Sequence

_NEEDED = ("attrs", "cyclopts", "pydantic", "rich")


def main(tokens: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code (documented in docs/command.md).

    Args:
        tokens: The arguments; None: those of this process.
    """
    try:
        from asyncsteps.cli._app import run_command
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in _NEEDED:
            raise
        message = "the command needs the extra 'cli', which is not installed: pip install 'asyncsteps[cli]'"
        print(f"asyncsteps: error: {message}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:  # the imports take a moment
        return 130
    return run_command(sys.argv[1:] if tokens is None else tokens)
