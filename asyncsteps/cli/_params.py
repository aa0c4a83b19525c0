"""``--param name=value``: arguments of a target, typed by its annotations."""

import inspect
import json
import re
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from inspect import Parameter
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

import cyclopts

from asyncsteps.cli._exit import UsageError

_MODULE: Final = re.compile(r"\b(?:[^\W\d]\w*\.)+(?=[^\W\d])")
_UNTYPED: Final = (Parameter.empty, Any, object)
_SEQUENCES: Final[dict[Any, Callable[[list[Any]], Any]]] = {
    list: list,
    tuple: tuple,
    set: set,
    frozenset: frozenset,
    Sequence: list,
    Iterable: list,
}


def bind(function: Callable[..., Any], given: Sequence[str], *, skip: int, target: str) -> dict[str, Any]:
    """The keyword arguments that ``--param`` gives to ``function``.

    Args:
        function: What will be called.
        given: The options' values, ``name=value`` each.
        skip: How many leading parameters the caller fills itself (the run, or ``self``).
        target: What the errors call the function.

    Raises:
        UsageError: Naming the parameter, its value, the type expected, and the parameters that there are.
    """
    known = dict(list(inspect.signature(function).parameters.items())[skip:])
    hints = _hints(function, target)
    extra = next((each for each in known.values() if each.kind is Parameter.VAR_KEYWORD), None)
    named = {
        name: each
        for name, each in known.items()
        if each.kind in {Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY}
    }
    for name, each in known.items():
        if each.kind is Parameter.POSITIONAL_ONLY and each.default is Parameter.empty:
            raise UsageError(
                f"{target} takes {name!r} by position only, so that --param cannot give it; drop the '/'"
            )
    described = f"the parameters of {target}: {_describe(named, hints, extra)}"
    arguments: dict[str, Any] = {}
    for text in given:
        name, equals, value = text.partition("=")
        name = name.strip()
        if not equals or not name:
            raise UsageError(f"--param {text!r} is not of the form NAME=VALUE; {described}")
        if name in arguments:
            raise UsageError(f"--param {name} is given twice; give it once (JSON for a list)")
        if name not in named and extra is None:
            raise UsageError(f"--param {name}: {target} has no such parameter; {described}")
        hint = hints.get(name, Any) if name in named else hints.get(extra.name, Any) if extra else Any
        try:
            arguments[name] = from_text(value, hint)
        except ValueError as error:
            raise UsageError(f"--param {name}: {value!r} {error}; {described}") from None
    for name, each in named.items():
        if each.default is Parameter.empty and name not in arguments:
            raise UsageError(f"{target} needs --param {name}=…; {described}")
    return arguments


def _hints(function: Callable[..., Any], target: str) -> dict[str, Any]:
    try:
        return typing.get_type_hints(inspect.unwrap(function))
    except Exception as error:
        raise UsageError(f"the annotations of {target} cannot be read: {type(error).__name__}: {error}") from error


def _describe(named: Mapping[str, Parameter], hints: Mapping[str, Any], extra: Parameter | None) -> str:
    shown = [
        f"{name}: {type_name(hints.get(name, Any))}"
        + ("" if each.default is Parameter.empty else f" = {_default(each.default)}")
        for name, each in named.items()
    ]
    if extra is not None:
        shown.append("any other")
    return ", ".join(shown) or "none"


def _default(value: Any) -> str:
    return value.name if isinstance(value, Enum) else repr(value)


def type_name(hint: Any) -> str:
    """An annotation as a person would write it."""
    if hint in _UNTYPED:
        return "Any"
    if isinstance(hint, type) and not get_args(hint):
        return hint.__name__
    return _MODULE.sub("", str(hint))


def from_text(text: str, hint: Any) -> Any:  # noqa: C901, PLR0911 - one branch a kind of type
    """The value that ``text`` means for an annotation.

    Raises:
        ValueError: Saying what was expected, to follow the value in a message.
    """
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return from_text(text, args[0])
    if hint in _UNTYPED or hint is str:
        return text
    if origin in {Union, types.UnionType}:
        return _first_that_fits(text, args, from_text, hint)
    if origin is Literal:
        for choice in args:
            if text == (str(choice).lower() if isinstance(choice, bool) else str(choice)):
                return choice
        raise ValueError(f"is not one of {', '.join(map(repr, args))}")
    if hint is None or hint is types.NoneType:
        if text.lower() in {"none", "null"}:
            return None
        raise ValueError("is not none")
    if _is_container(hint):
        try:
            value = json.loads(text)
        except ValueError as error:
            raise ValueError(f"is no JSON ({error}), which {type_name(hint)} needs") from None
        return from_json(value, hint)
    return _scalar(text, hint)


def _scalar(text: str, hint: Any) -> Any:
    if isinstance(hint, type) and issubclass(hint, Enum):
        for member in hint:
            if text in {member.name, str(member.value)}:
                return member
        raise ValueError(f"is not one of {', '.join(member.name for member in hint)}")
    try:
        # cyclopts would cut 2.5 down to 2
        return int(text) if hint is int else cyclopts.convert(hint, [text])
    except (cyclopts.CycloptsError, ValueError, TypeError, ArithmeticError):
        article = "an" if type_name(hint)[0] in "aeiou" else "a"
        raise ValueError(f"is not {article} {type_name(hint)}") from None


def from_json(value: Any, hint: Any) -> Any:  # noqa: C901, PLR0911 - one branch a kind of type
    """A JSON value as an annotation wants it: an element of a list or a mapping, or the whole of one.

    Raises:
        ValueError: Saying what was expected, to follow the value in a message.
    """
    origin, args = get_origin(hint) or hint, get_args(hint)
    if origin is Annotated:
        return from_json(value, args[0])
    if hint in _UNTYPED or (hint in {None, types.NoneType} and value is None):
        return value
    if origin in {Union, types.UnionType}:
        return _first_that_fits(value, args, from_json, hint)
    if origin in _SEQUENCES and isinstance(value, list):
        return _SEQUENCES[origin](_elements(value, origin, args))
    if _is_mapping(origin) and isinstance(value, dict):
        of = args[1] if len(args) == 2 else Any  # noqa: PLR2004 - key and value
        return {key: from_json(each, of) for key, each in value.items()}
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint in {bool, int, float, str}:
        if type(value) is hint:
            return value
    elif isinstance(value, str) and not _is_container(hint):
        return from_text(value, hint)
    elif origin is Literal and value in args:
        return value
    raise ValueError(f"does not fit {type_name(hint)}: {json.dumps(value)} stands where that is wanted")


def _elements(values: list[Any], origin: Any, args: tuple[Any, ...]) -> list[Any]:
    if origin is tuple and args and args[-1] is not Ellipsis:
        if len(values) != len(args):
            raise ValueError(f"does not fit: {len(args)} elements are wanted, not {len(values)}")
        return [from_json(value, of) for value, of in zip(values, args, strict=True)]
    of = args[0] if args else Any
    return [from_json(value, of) for value in values]


def _first_that_fits(value: Any, hints: Sequence[Any], convert: Callable[[Any, Any], Any], union: Any) -> Any:
    # str takes every text, so that it is asked last; None is asked first, for a str would take "none".
    order = sorted(hints, key=lambda hint: (hint is not types.NoneType, hint is str))
    refusals: list[ValueError] = []
    for hint in order:
        try:
            return convert(value, hint)
        except ValueError as error:
            refusals.append(error)
    if len(refusals) == 2 and order[0] is types.NoneType:  # noqa: PLR2004 - X | None: what X wants is the answer
        raise refusals[1]
    raise ValueError(f"fits none of {type_name(union)}")


def _is_mapping(origin: Any) -> bool:
    return isinstance(origin, type) and issubclass(origin, Mapping)


def _is_container(hint: Any) -> bool:
    origin = get_origin(hint) or hint
    return origin in _SEQUENCES or _is_mapping(origin)
