"""Whether a callable takes the arguments of an activity task, told without calling it.

What counts is what the interpreter goes by, the parameters in a function's code: a decorator's ``__wrapped__`` and
``__signature__`` may tell of other parameters than its wrapper has. Where nothing is known, everything is taken.
"""

import functools
import inspect
import sys
from collections.abc import Callable, Collection
from inspect import CO_VARARGS, CO_VARKEYWORDS, Parameter
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

_PLACEHOLDER = getattr(functools, "Placeholder", None)
"""What holds the place of a later argument in a partial, from Python 3.14 on."""


class _Parameters(NamedTuple):
    """The parameters of a function.

    Attributes:
        positional: Those that take arguments by position.
        unnamed: How many of them do so by position only.
        required: How many of them have no default.
        variadic: Whether there is ``*args``.
        keywords: Those that take arguments by name only.
        required_keywords: Those of them that have no default.
        variadic_keywords: Whether there is ``**kwargs``.
        taken: Calls that it takes: the number of positional arguments, and the names of the others.
    """

    positional: tuple[str, ...]
    unnamed: int
    required: int
    variadic: bool
    keywords: tuple[str, ...]
    required_keywords: tuple[str, ...]
    variadic_keywords: bool
    taken: set[tuple[int | str, ...]]


_MOST_TAKEN = 100
"""How many ways of calling a function are remembered."""

_known: WeakKeyDictionary[Callable[..., Any], _Parameters] = WeakKeyDictionary()
"""The parameters of functions, each read once."""


def argument_problem(function: Callable[..., Any], given: int, named: Collection[str]) -> str | None:
    """Return why ``function`` cannot be called so, and what it takes; None if it can, or if that is not known.

    Args:
        function: The callable.
        given: The number of positional arguments.
        named: The names of the keyword arguments.
    """
    bound = 0
    if not isinstance(function, FunctionType):
        if isinstance(function, functools.partial):
            bound, named, function = len(function.args), {*function.keywords, *named}, _unbound(function)
        function, own = _underlying(function)
        bound += own
        given += bound
    if not named and isinstance(function, FunctionType):  # nearly always, and then nothing need be read
        code, defaults = function.__code__, function.__defaults__
        most = code.co_argcount
        if (most - len(defaults) if defaults else most) <= given <= most and not code.co_kwonlyargcount:
            return None
    parameters = _known.get(function)
    if parameters is None:
        parameters = _known[function] = _parameters_of(function)
    call: tuple[int | str, ...] = (given, *named)
    if call in parameters.taken:
        return None
    problem = _problem(parameters, given, named, bound)
    if problem is not None:
        return f"it takes {_shown(parameters, bound)}, and {problem}"
    if len(parameters.taken) < _MOST_TAKEN:
        parameters.taken.add(call)
    return None


def _unbound(function: functools.partial[Any]) -> Any:
    """The function of a partial; if it holds places for later arguments, one that takes anything."""
    if _PLACEHOLDER is not None and any(each is _PLACEHOLDER for each in function.args):
        return _anything
    return function.func


def _underlying(function: Any) -> tuple[Callable[..., Any], int]:
    """Return the function that takes the arguments in the end, and how many of its own it gets before them."""
    if isinstance(function, type):
        return _constructor(function), 1
    if isinstance(function, FunctionType | BuiltinFunctionType):
        return function, 0
    method = function if isinstance(function, MethodType) else getattr(function, "__call__", None)  # noqa: B004
    if isinstance(method, MethodType) and isinstance(method.__func__, FunctionType):
        return method.__func__, 1
    return _anything, 0


def _constructor(cls: Any) -> Callable[..., Any]:
    """The function that takes the arguments of a class, after the instance or the class."""
    make, initialise, function = cls.__new__, cls.__init__, None
    if type(cls).__call__ is type.__call__:
        if make is object.__new__:
            function = _nothing if initialise is object.__init__ else initialise
        elif initialise is object.__init__:
            function = make
    return function if isinstance(function, FunctionType) else _anything


def _parameters_of(function: Callable[..., Any]) -> _Parameters:
    """Read the parameters of a Python function, or of a builtin one that tells them."""
    if isinstance(function, FunctionType):
        return _of_function(function)
    module = getattr(function, "__self__", None)
    known = isinstance(module, ModuleType) and module.__name__ in sys.stdlib_module_names
    tells = known and getattr(function, "__text_signature__", None)
    return _of_builtin(function) if tells else _of_function(_anything)


def _anything(*args: object, **kwargs: object) -> None:
    """What a callable is taken for whose parameters are not known."""


def _nothing(_self: object, /) -> None:
    """What a class without a constructor takes."""


def _of_function(function: Any) -> _Parameters:
    code = function.__code__
    names, most = code.co_varnames, code.co_argcount
    keywords = names[most : most + code.co_kwonlyargcount]
    return _Parameters(
        positional=names[:most],
        unnamed=code.co_posonlyargcount,
        required=most - len(function.__defaults__ or ()),
        variadic=bool(code.co_flags & CO_VARARGS),
        keywords=keywords,
        required_keywords=tuple(name for name in keywords if name not in (function.__kwdefaults__ or {})),
        variadic_keywords=bool(code.co_flags & CO_VARKEYWORDS),
        taken=set(),
    )


def _of_builtin(function: Callable[..., Any]) -> _Parameters:
    given = inspect.signature(function).parameters.values()
    positional = [
        each for each in given if each.kind in {Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD}
    ]
    keywords = [each for each in given if each.kind is Parameter.KEYWORD_ONLY]
    return _Parameters(
        positional=tuple(each.name for each in positional),
        unnamed=sum(each.kind is Parameter.POSITIONAL_ONLY for each in positional),
        required=sum(each.default is Parameter.empty for each in positional),
        variadic=any(each.kind is Parameter.VAR_POSITIONAL for each in given),
        keywords=tuple(each.name for each in keywords),
        required_keywords=tuple(each.name for each in keywords if each.default is Parameter.empty),
        variadic_keywords=any(each.kind is Parameter.VAR_KEYWORD for each in given),
        taken=set(),
    )


def _problem(takes: _Parameters, given: int, named: Collection[str], bound: int) -> str | None:
    if given > len(takes.positional) and not takes.variadic:
        return f"is given {given - bound} argument{'s' if given - bound > 1 else ''} by position"
    filled = set()
    for name in named:
        place = takes.positional.index(name) if name in takes.positional else None
        if place is not None and place >= takes.unnamed:
            if place < given:
                return f"is given {name!r} by position and by name"
            filled.add(place)
        elif name not in takes.keywords and not takes.variadic_keywords:
            return f"is given {name!r} by name"
    missing = [takes.positional[place] for place in range(given, takes.required) if place not in filled]
    missing += [name for name in takes.required_keywords if name not in named]
    return f"lacks {' and '.join(map(repr, missing))}" if missing else None


def _shown(takes: _Parameters, bound: int) -> str:
    """The parameters but the first ``bound``, as in a definition; no defaults, which may be long or secret."""
    shown = [name if place < takes.required else f"{name}=..." for place, name in enumerate(takes.positional)]
    if bound < takes.unnamed:
        shown.insert(takes.unnamed, "/")
    shown = shown[bound:]
    if takes.variadic or takes.keywords:
        shown.append("*args" if takes.variadic else "*")
    shown += [name if name in takes.required_keywords else f"{name}=..." for name in takes.keywords]
    if takes.variadic_keywords:
        shown.append("**kwargs")
    return f"({', '.join(shown)})"
