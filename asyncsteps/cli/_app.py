"""The command line: its commands, and how errors end it."""

from collections.abc import Sequence
from typing import Final

from cyclopts import App, CycloptsError, MissingArgumentError
from rich.console import Console

import asyncsteps
from asyncsteps.cli import _output
from asyncsteps.cli._examples import epilogue
from asyncsteps.cli._exit import ExitCode, Interrupted, describe, leaves, report

_HELP: Final = (
    "Run workflows of named steps, and look after the record of those that are done.\n\n"
    "A STORE is the URL of done steps: s3://bucket/prefix, file:///path, or a plain path. A SELECTOR is a step's "
    "name, an ancestor of it ('a.b' selects 'a.b' and all below it), '=a.b' for that name alone, or '*'.\n\n"
    "Exit codes: 0 fine; 1 a step failed; 2 bad usage or input; 3 store or SWF out of reach or denied; "
    "130 interrupted (143 terminated), and then nothing half done is marked."
)


class _HelpConsole(Console):
    """Prints help and the version. A reader that stops reading (``asyncsteps --help | head``) is no error."""

    def on_broken_pipe(self) -> None:
        """Print no more."""
        self.quiet = True
        _output.discard(1)


app = App(
    name="asyncsteps",
    console=_HelpConsole(),
    help=_HELP,
    help_format="plaintext",
    version=lambda: asyncsteps.__version__,
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)

# A command is imported when it is run: --help shows the summaries that are given here, and imports none.
_COMMANDS: Final = (
    ("_run:run", "Play the steps of a workflow that are not done yet."),
    ("_run:plan", "Show what a run would play, force and skip, and why; it plays nothing and writes nothing."),
    ("_store:ls", "Show the steps that are done, as a tree."),
    (
        "_runs:runs",
        "Show the last runs over a store, the newest first; or all of one run's journal.",
    ),
    (
        "_why:why",
        "Tell why a step was played, skipped or not reached in the last runs, and what a run would decide now.",
    ),
    (
        "_show_run:report",
        "Write a page that shows a run: its timeline, what was slow, what failed, what forced it.",
    ),
    (
        "_check:check",
        (
            "List the keys of a store that are not steps, and why; the exit code is 1 if there are any. "
            "Writes nothing."
        ),
    ),
    (
        "_show:show",
        "Show all that a done step's mark tells, or a group's roll-up; the exit code is 1 if none is done.",
    ),
    ("_store:mark", "Mark steps as done without playing them; the record says who did, and when."),
    ("_store:forget", "Withdraw done marks, so that the next run plays these steps again; says which, and asks."),
    (
        "_completion:completion",
        "Write the script with which a shell completes commands and options; save it where the shell looks.",
    ),
)
_OF_SWF: Final = (
    ("_swf_doctor:doctor", "Check from this machine, with its credentials, what deciders and workers need."),
    ("_swf_execution:follow", "Show an execution's steps as they are recorded, until it closes; then a summary."),
    (
        "_swf_execution:history",
        "Show the steps of an execution as its history has them by now: decisions, durations, reasons, failures.",
    ),
)
_USAGES: Final = {
    "_store:ls": "Usage: asyncsteps ls [OPTIONS] STORE [SELECTOR]",
    "_show_run:report": "Usage: asyncsteps report [OPTIONS] STORE [RUN-ID]",
    "_runs:runs": "Usage: asyncsteps runs [OPTIONS] STORE [RUN-ID]",
}
"""Where cyclopts would name no optional argument."""

_swf = App(
    name="swf", help="Look at executions on Amazon SWF, and at what they need.", result_action="return_value"
)
for _app, _commands in ((app, _COMMANDS), (_swf, _OF_SWF)):
    for _where, _summary in _commands:
        _app.command(
            f"asyncsteps.cli.{_where}", help=_summary, usage=_USAGES.get(_where), help_epilogue=epilogue(_where)
        )
app.command(_swf)


def run_command(tokens: Sequence[str]) -> int:
    """Run one command line and return its exit code. An error ends in one line, not in a traceback."""
    _output.prepare(tokens)
    errors: list[str] = []
    try:
        code = app(tokens, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        code = ExitCode.USAGE
        errors = [_misuse(error)]
        _output.error(errors[0])
    except Interrupted as interrupted:
        code = interrupted.code
        errors = [f"ended by {interrupted}"]
    except KeyboardInterrupt:
        code = ExitCode.INTERRUPTED
        errors = ["ended by SIGINT"]
    except BaseException as error:  # noqa: BLE001 - the outermost edge: everything becomes a line and an exit code
        code = report(error, with_traceback="--traceback" in tokens)
        errors = [describe(leaf) for leaf in leaves(error)]
    if code:
        _output.ensure_json(errors, int(code))
    return code if isinstance(code, int) else ExitCode.OK


def _misuse(error: CycloptsError) -> str:
    """Describe in one line what is wrong with a command line, and where to find help."""
    command = " ".join(error.command_chain or ())
    text = _output.one_line(str(error))
    if isinstance(error, MissingArgumentError) and error.argument is not None:
        # For an option that is missing altogether cyclopts says that it "requires an argument".
        _, guess, hint = text.partition(" Did you mean ")
        name = error.argument.name
        text = f"{command} needs {name}{' and its value' if name.startswith('-') else ''}"
        text += f"; did you mean {hint}" if guess else ""
    return f"{text} (see asyncsteps {command}{command and ' '}--help)"
