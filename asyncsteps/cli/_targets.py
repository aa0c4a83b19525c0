"""Loading a TARGET: ``module:name`` or ``path/file.py:name``."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import inspect
import os
import sys
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import asyncsteps
from asyncsteps.cli._exit import UsageError, describe

_BREAKING = (Exception, SystemExit, GeneratorExit, asyncio.CancelledError)
"""What importing a module may raise, except interrupts."""


@dataclass(frozen=True, slots=True)
class Target:
    """The workflow that a command runs.

    Attributes:
        text: TARGET as given.
        workflow: The workflow class; for a function, one whose ``run`` calls it.
        function: The class's ``run``, or the function, which takes the arguments.
        has_hooks: Whether the workflow has hooks that name its store.
    """

    text: str
    workflow: type[asyncsteps.Workflow]
    function: Callable[..., Awaitable[Any]]
    has_hooks: bool


def load(text: str) -> Target:
    """Import a TARGET.

    Raises:
        UsageError: When there is no such file, module or name, when importing it fails, or when it is neither a
            workflow class nor an ``async def`` that takes a run.
    """
    where, colon, name = text.rpartition(":")
    if not colon or not where or not name:
        raise UsageError(f"target {text!r} is not of the form module:name or path/file.py:name")
    module = _from_file(Path(where)) if where.endswith(".py") or os.sep in where else _from_name(where)
    found: Any = module
    for part in name.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise UsageError(f"target {text!r}: {where} has no {name!r}{_instead(module)}") from None
    return _target(text, found, module)


def _target(text: str, found: Any, module: ModuleType) -> Target:
    if inspect.isclass(found) and issubclass(found, asyncsteps.Workflow) and found is not asyncsteps.Workflow:
        return Target(text, found, found.run, has_hooks=True)
    if inspect.iscoroutinefunction(found):
        takes = [each for each in inspect.signature(found).parameters.values() if each.kind in _POSITIONAL]
        if not takes:
            raise UsageError(
                f"target {text!r} takes no run; its first parameter must be the run: async def main(run, …)"
            )
        return Target(text, _workflow_of(found), found, has_hooks=False)
    remedy = "name one of these"
    if inspect.isfunction(found):
        remedy = "make it `async def`, without any `yield`"
    raise UsageError(
        f"target {text!r} is {_what(found)}, and neither a Workflow class nor an `async def main(run, …)`; "
        f"{remedy}{_instead(module)}"
    )


def _workflow_of(function: Callable[..., Awaitable[Any]]) -> type[asyncsteps.Workflow]:
    class Function(asyncsteps.Workflow):
        async def run(self, **arguments: Any) -> Any:
            return await function(self.step_run, **arguments)

    return Function


_POSITIONAL = (
    inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
    inspect.Parameter.VAR_POSITIONAL,
)


def _what(found: Any) -> str:
    if inspect.isasyncgenfunction(found):
        return "an async generator"
    if inspect.isfunction(found):
        return "a plain function"
    if inspect.isclass(found):
        return f"the class {found.__name__}"
    return f"of type {type(found).__name__}"


def _instead(module: ModuleType) -> str:
    """Suggest the targets that the module itself defines."""
    names = [
        name
        for name, value in vars(module).items()
        if getattr(value, "__module__", None) == module.__name__
        and not name.startswith("_")
        and (
            (inspect.isclass(value) and issubclass(value, asyncsteps.Workflow))
            or inspect.iscoroutinefunction(value)
        )
    ]
    return f"; there may be run: {', '.join(names)}" if names else ""


def _from_name(name: str) -> ModuleType:
    if not all(part.isidentifier() for part in name.split(".")):
        raise UsageError(f"{name!r} is no module's name; a file ends in .py: path/file.py:name")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)  # as `python -m` does
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise UsageError(
                f"there is no module {error.name!r} to import, neither installed nor below {here}"
            ) from None
        raise _broken(name, error) from error
    except _BREAKING as error:
        raise _broken(name, error) from error


def _from_file(path: Path) -> ModuleType:
    """Import a file by its stem, with its folder first on the path, as ``python path/file.py`` has it.

    Other processes may look activities up by the module's name.
    """
    if not path.is_file():
        raise UsageError(f"there is no file {str(path)!r}")
    path = path.resolve()
    folder = str(path.parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    loaded = sys.modules.get(path.stem)
    if loaded is not None and (loaded.__file__ is None or Path(loaded.__file__).resolve() != path):
        raise UsageError(
            f"{str(path)!r} would be imported as {path.stem!r}, a module that is in use; rename the file"
        )
    if loaded is not None:
        return loaded
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{str(path)!r} is no Python source; a file's name ends in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    except _BREAKING as error:
        del sys.modules[path.stem]
        raise _broken(str(path), error) from error
    return module


def _broken(what: str, error: BaseException) -> UsageError:
    last = traceback.extract_tb(error.__traceback__)[-1:]
    at = "".join(f" ({frame.filename}, line {frame.lineno})" for frame in last)
    return UsageError(f"importing {what} fails: {describe(error)}{at}")
