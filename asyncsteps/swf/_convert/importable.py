"""What another process can import by name."""

import sys
from collections.abc import Callable
from importlib import import_module
from inspect import isclass, ismethod
from typing import Any

from asyncsteps._tasks.activity import Activity
from asyncsteps._tasks.retry import is_async_callable
from asyncsteps.swf._errors import NotConvertibleError


def callable_of_worker(activity: Activity[..., Any], name: str) -> Callable[..., Any]:
    """Return what a worker imports for the activity type ``name``: ``activity`` itself, or its function.

    Raises:
        NotConvertibleError: When a worker would find something else, or nothing.
    """
    what = f"activity {name}"
    module_name, _, own_name = name.rpartition(".")
    found: object = getattr(_module(what, module_name), own_name, None)
    if found is activity:
        return activity
    reason = _why_unimportable(activity.function)
    if reason is None and found is None:
        reason = f"a worker imports it by that name, and module {module_name} has no {own_name!r} at its top level"
    elif reason is None and found is not activity.function:
        reason = f"a worker imports it by that name, and finds {found!r} there, which is something else"
    elif reason is None and gives_coroutine(activity.function):
        reason = (
            "it is async, and simpleflow would not await its coroutine; decorate it with asyncsteps.activity, "
            "under the name that a worker imports"
        )
    if reason is not None:
        raise NotConvertibleError(what, reason)
    return activity.function


def _module(what: str, name: str) -> Any:
    if name in sys.modules:
        return sys.modules[name]
    try:
        return import_module(name)
    except (ImportError, ValueError) as error:
        raise NotConvertibleError(
            what, f"a worker imports it by that name, and there is no module {name!r} ({error})"
        ) from error


def _why_unimportable(function: Callable[..., Any]) -> str | None:
    """Why ``function`` cannot be imported by a name, and the remedy; None when it can."""
    qualified = getattr(function, "__qualname__", "")
    remedy = "make it a function at the top level of a module"
    if getattr(function, "__name__", "") == "<lambda>":
        return f"it is a lambda, which has no name to import it by; {remedy}"
    if getattr(function, "__closure__", None):
        return f"it is a closure, whose variables no other process has; {remedy}, and give them as arguments"
    if "<locals>" in qualified:
        return f"it is local to {qualified.partition('.<locals>')[0]}(), out of a worker's reach; {remedy}"
    if ismethod(function) or "." in qualified:
        return (
            f"it is the attribute {qualified} of a class, and a worker imports only by module and name; {remedy}"
        )
    return None


def gives_coroutine(function: Any) -> bool:
    """Whether simpleflow, calling ``function`` its way, gets a coroutine, which it would never await."""
    if isinstance(function, Activity):
        return False
    if isclass(function):
        return is_async_callable(getattr(function, "execute", function.__init__))
    return is_async_callable(function)
