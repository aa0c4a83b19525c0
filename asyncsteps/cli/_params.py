"""``--param NAME=VALUE``: arguments of a target, converted by pydantic to the types of its annotations."""

import inspect
import types
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime, time, timedelta
from enum import Enum
from inspect import Parameter, Signature, formatannotation
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from pydantic import BeforeValidator, PydanticUserError, TypeAdapter, ValidationError

from asyncsteps.cli._exit import UsageError

_UNTYPED: Final = (Parameter.empty, Any, object)
_UNIONS: Final = (Union, types.UnionType)


def bind(function: Callable[..., Any], given: Sequence[str], *, skip: int, target: str) -> dict[str, Any]:
    """Convert the values of ``--param`` to keyword arguments of ``function``.

    Args:
        function: What will be called.
        given: The options' values, ``NAME=VALUE`` each.
        skip: How many leading parameters the caller fills itself (the run, or ``self``).
        target: What the errors call the function.

    Raises:
        UsageError: Naming the parameter, its value, the type expected, and the parameters that there are.
    """
    try:
        parameters = list(inspect.signature(function, eval_str=True).parameters.values())[skip:]
    except Exception as error:
        raise UsageError(f"the annotations of {target} cannot be read: {type(error).__name__}: {error}") from error
    signature = Signature(parameters)
    takes = f"{target} takes {signature}"
    hints = {each.name: each.annotation for each in parameters}
    others = next((each.annotation for each in parameters if each.kind is Parameter.VAR_KEYWORD), Any)
    arguments: dict[str, Any] = {}
    for text in given:
        name, equals, value = text.partition("=")
        name = name.strip()
        if not equals or not name:
            raise UsageError(f"--param {text!r} is not of the form NAME=VALUE; {takes}")
        if name in arguments:
            raise UsageError(f"--param {name} is given twice; give it once (JSON for a list)")
        try:
            arguments[name] = from_text(value, hints.get(name, others))
        except ValueError as error:
            raise UsageError(f"--param {name}: {value!r} {error}; {takes}") from None
    try:
        signature.bind(**arguments)
    except TypeError as error:
        raise UsageError(f"--param: {error}; {takes}") from None
    return arguments


def from_text(text: str, hint: Any) -> Any:
    """Convert ``text`` to the type of an annotation.

    Raises:
        ValueError: Saying what was expected, to follow the value in a message.
    """
    if hint in _UNTYPED:
        return text
    bare = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    members = get_args(bare) if get_origin(bare) in _UNIONS else ()
    if str in members:  # it takes every text, so that it is asked last
        try:
            return from_text(text, Union[tuple(member for member in members if member is not str)])  # noqa: UP007
        except ValueError:
            return text
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(_readable(hint))
    except (PydanticUserError, NameError):
        raise ValueError(f"cannot become {formatannotation(hint)}: text makes no such value") from None
    try:
        return adapter.validate_strings(text)
    except ValidationError as error:
        refusal = error
    try:
        return adapter.validate_json("null" if text.lower() == "none" else text, strict=True)
    except ValidationError as error:
        if refusal.errors()[0]["type"].endswith("_type"):  # no scalar was wanted, but JSON
            refusal = error
    why = "; ".join(": ".join((*map(str, each["loc"]), each["msg"])) for each in refusal.errors())
    raise ValueError(f"does not fit {formatannotation(hint)}: {why}")


def _readable(hint: Any) -> Any:
    """The annotation that pydantic reads in place of ``hint``: enums also by name, no dates from numbers."""
    origin: Any = get_origin(hint) or hint
    args = get_args(hint)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return Annotated[hint, BeforeValidator(lambda value: hint.__members__.get(str(value), value))]
    if hint in (date, datetime, time, timedelta):
        return Annotated[hint, BeforeValidator(_no_number)]
    if origin is Annotated:
        return Annotated[(_readable(args[0]), *args[1:])]
    if origin is Iterable:  # pydantic would check it only as it is iterated
        hint = origin = list
    if origin is Literal or not args:
        return hint
    return (Union if origin in _UNIONS else origin)[tuple(map(_readable, args))]


def _no_number(value: Any) -> Any:
    try:
        float(value)
    except (TypeError, ValueError):
        return value
    # pydantic takes 20261122 for seconds since 1970
    raise ValueError("write it as ISO 8601 does, with dashes and colons")
