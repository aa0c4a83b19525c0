"""The command line: its commands, and how errors end it."""

import importlib.metadata
from collections.abc import Sequence
from typing import Final

from cyclopts import App, CycloptsError, MissingArgumentError
from rich.console import Console

from asyncsteps.cli import _output
from asyncsteps.cli._check import check
from asyncsteps.cli._exit import ExitCode, Interrupted, describe, leaves, report
from asyncsteps.cli._run import plan, run
from asyncsteps.cli._runs import runs
from asyncsteps.cli._show import show
from asyncsteps.cli._store import forget, ls, mark
from asyncsteps.cli._swf_doctor import doctor
from asyncsteps.cli._swf_execution import follow, history
from asyncsteps.cli._why import why

_HELP: Final = (
    "Run workflows of named steps, and look after the record of those that are done.\n\n"
    "A STORE is the URL of done steps: s3://bucket/prefix, file:///path, or a plain path. A SELECTOR is a step's "
    "name, an ancestor of it ('a.b' selects 'a.b' and all below it), or '*'.\n\n"
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
    version=lambda: importlib.metadata.version("asyncsteps"),
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)

for _command in (run, plan, ls, runs, why, check, show, mark, forget):
    app.command(_command)
app["runs"].usage = "Usage: asyncsteps runs [OPTIONS] STORE [RUN-ID]"
app["ls"].usage = "Usage: asyncsteps ls [OPTIONS] STORE [SELECTOR]"  # cyclopts names no optional argument

_swf = App(
    name="swf", help="Look at executions on Amazon SWF, and at what they need.", result_action="return_value"
)
for _looking in (doctor, follow, history):
    _swf.command(_looking)
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
