"""The command line: the options of each command, and how errors end it."""

import contextlib
import importlib.metadata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

from cyclopts import App, CycloptsError, MissingArgumentError, Parameter

from asyncsteps.cli import _output, _run, _store, _swf
from asyncsteps.cli._exit import ExitCode, Interrupted, describe, leaves, report

_HELP: Final = (
    "Run workflows of named steps, and look after the record of those that are done.\n\n"
    "A STORE is the URL of done steps: s3://bucket/prefix, file:///path, or a plain path. A SELECTOR is a step's "
    "name, an ancestor of it ('a.b' selects 'a.b' and all below it), or '*'.\n\n"
    "Exit codes: 0 fine; 1 a step failed; 2 bad usage or input; 3 store or SWF out of reach or denied; "
    "130 interrupted (143 terminated), and then nothing half done is marked."
)

app = App(
    name="asyncsteps",
    help=_HELP,
    help_format="plaintext",
    version=lambda: importlib.metadata.version("asyncsteps"),
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)
app.command(_swf.app)

_Flag = Parameter(negative=(), show_default=False)
_Repeated = Parameter(negative=(), consume_multiple=False, show_default=False)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True, slots=True)
class Common:
    """Options of every command.

    Attributes:
        endpoint_url: S3 endpoint; overrides the environment (AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, profiles).
        json: Write one JSON document to stdout.
        traceback: Show the tracebacks of errors.
    """

    endpoint_url: str | None = None
    json: Annotated[bool, _Flag] = False
    traceback: Annotated[bool, _Flag] = False


_COMMON: Final = Common()


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """What to run or plan, and what to force and skip in it.

    Attributes:
        workflow_id: The workflow's id, recorded with every step that is marked done.
        store: The store of done steps; a Workflow class may leave it to its hooks.
        run_id: The run's id; made up when left out.
        force: SELECTOR[=REASON]: play these steps even if they are done. Repeatable.
        skip: SELECTOR[=REASON]: skip these steps, unless they are forced. Repeatable.
        param: NAME=VALUE: an argument of the target, typed by its annotation; JSON for lists and mappings.
            Repeatable.
    """

    workflow_id: str
    store: str | None = None
    run_id: str | None = None
    force: Annotated[tuple[str, ...], _Repeated] = ()
    skip: Annotated[tuple[str, ...], _Repeated] = ()
    param: Annotated[tuple[str, ...], _Repeated] = ()


@app.command
def run(
    target: str,
    /,
    *,
    selection: Selection,
    max_parallel: int | None = None,
    markers: Path | None = None,
    quiet: Annotated[bool, _Flag] = False,
    common: Common = _COMMON,
) -> int:
    """Play the steps of a workflow that are not done yet.

    Args:
        target: module:name or path/file.py:name, of a Workflow class or an async def main(run, ...).
        selection: What to force and skip.
        max_parallel: How many activities may be under way at once.
        markers: A file to append every marker to, one JSON object a line.
        quiet: No progress; errors and the summary are written all the same.
        common: Options of every command.
    """
    return _run.run(
        _run.Request(
            target=target,
            store=selection.store,
            endpoint_url=common.endpoint_url,
            workflow_id=selection.workflow_id,
            run_id=selection.run_id,
            force=selection.force,
            skip=selection.skip,
            params=selection.param,
            max_parallel=max_parallel,
            markers=markers,
        ),
        quiet=quiet,
        as_json=common.json,
        with_traceback=common.traceback,
    )


@app.command
def plan(
    target: str,
    /,
    *,
    selection: Selection,
    show_all: Annotated[bool, Parameter(name="--all", negative=(), show_default=False)] = False,
    common: Common = _COMMON,
) -> int:
    """Show what a run would play, force and skip, and why; it plays nothing and writes nothing.

    Args:
        target: module:name or path/file.py:name, of a Workflow class or an async def main(run, ...).
        selection: What to force and skip.
        show_all: Name every step, instead of rolling up many that are decided alike.
        common: Options of every command.
    """
    return _run.plan(
        _run.Request(
            target=target,
            store=selection.store,
            endpoint_url=common.endpoint_url,
            workflow_id=selection.workflow_id,
            run_id=selection.run_id,
            force=selection.force,
            skip=selection.skip,
            params=selection.param,
        ),
        show_all=show_all,
        as_json=common.json,
    )


@app.command
def ls(
    store: str,
    selector: str = "*",
    /,
    *,
    depth: int | None = None,
    names: Annotated[bool, _Flag] = False,
    common: Common = _COMMON,
) -> int:
    """Show the steps that are done, as a tree.

    Args:
        store: The URL of the store.
        selector: Only what it selects.
        depth: How many levels to open; without it, groups of up to 20 members are opened.
        names: Plain names instead of a tree, one a line.
        common: Options of every command.
    """
    return _store.ls(
        store, selector, depth=depth, names_only=names, endpoint_url=common.endpoint_url, as_json=common.json
    )


@app.command
def show(store: str, name: str, /, *, common: Common = _COMMON) -> int:
    """Show the record of a done step; the exit code is 1 when it is not done.

    Args:
        store: The URL of the store.
        name: The step's name.
        common: Options of every command.
    """
    return _store.show(store, name, endpoint_url=common.endpoint_url, as_json=common.json)


@app.command
def mark(
    store: str,
    /,
    *names: Annotated[str, Parameter(required=True)],
    workflow_id: str = _store.MARKED_BY,
    reason: str | None = None,
    replace: Annotated[bool, _Flag] = False,
    common: Common = _COMMON,
) -> int:
    """Mark steps as done without playing them; the record says who did, and when.

    Args:
        store: The URL of the store.
        names: The steps' names.
        workflow_id: The workflow's id to record.
        reason: Why; it is recorded too.
        replace: Replace the records of steps that are done already, instead of keeping them.
        common: Options of every command.
    """
    return _store.mark(
        store,
        names,
        workflow_id=workflow_id,
        reason=reason,
        replace=replace,
        endpoint_url=common.endpoint_url,
        as_json=common.json,
    )


@app.command
def forget(
    store: str,
    /,
    *selectors: Annotated[str, Parameter(required=True)],
    yes: Annotated[bool, Parameter(name=("--yes", "-y"), negative=(), show_default=False)] = False,
    dry_run: Annotated[bool, _Flag] = False,
    common: Common = _COMMON,
) -> int:
    """Withdraw done marks, so that the next run plays these steps again; says which, and asks.

    Args:
        store: The URL of the store.
        selectors: What to forget.
        yes: Do not ask.
        dry_run: Only say what would be withdrawn.
        common: Options of every command.
    """
    return _store.forget(
        store,
        selectors,
        yes=yes,
        dry_run=dry_run,
        endpoint_url=common.endpoint_url,
        as_json=common.json,
    )


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
    if code and "--json" in tokens and not _output.has_json():
        with contextlib.suppress(_output.OutputError):
            _output.emit_json({"errors": errors, "exit_code": int(code)})
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
