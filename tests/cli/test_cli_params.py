"""--param NAME=VALUE: what values become under the target's annotations, and what is refused."""

import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, Union

import pytest

from asyncsteps.cli._exit import UsageError
from asyncsteps.cli._params import bind, from_text


class Colour(enum.Enum):
    RED = 1
    DARK_BLUE = "dark"


@dataclass
class Point:
    x: int
    y: int


@pytest.mark.parametrize(
    ("hint", "text", "value"),
    [
        (int, "3", 3),
        (int, "-3", -3),
        (float, "2.5", 2.5),
        (float, "1e3", 1000.0),
        (bool, "true", True),
        (bool, "no", False),
        (str, "3", "3"),
        (str, "", ""),
        (Any, "x=y", "x=y"),
        (object, "x", "x"),
        (Union[int, None], "4", 4),  # noqa: UP007 - the other spelling
        (int | None, "none", None),
        (str | None, "None", None),
        (Annotated[str | None, "a note"], "none", None),
        (str | None, "7", "7"),
        (str | None, '"a"', '"a"'),
        (None | str, "null", None),
        (int | str, "7", 7),
        (str | int, "7", 7),
        (int | str, "seven", "seven"),
        (Literal["a", "b"], "b", "b"),
        (Literal[1, True], "true", True),
        (Colour, "RED", Colour.RED),
        (Colour, "dark", Colour.DARK_BLUE),
        (Path, "a/b", Path("a/b")),
        (date, "2026-11-22", date(2026, 11, 22)),
        (datetime, "2026-11-22T10:00", datetime(2026, 11, 22, 10)),  # noqa: DTZ001 - as it was given
        (timedelta, "PT3M", timedelta(minutes=3)),
        (Decimal, "1.10", Decimal("1.10")),
        (Annotated[int, "a note"], "5", 5),
        (Decimal, "0.12345678901234567890123", Decimal("0.12345678901234567890123")),
        (Point, '{"x": 1, "y": 2}', Point(1, 2)),
        (Iterable[int], "[1, 2]", [1, 2]),
        (list[int], "[1, 2]", [1, 2]),
        (list, '["a", 1]', ["a", 1]),
        (Sequence[str], '["a"]', ["a"]),
        (tuple[int, str], '[1, "a"]', (1, "a")),
        (tuple[int, ...], "[1, 2, 3]", (1, 2, 3)),
        (set[str], '["a", "a"]', {"a"}),
        (list[Path], '["a/b"]', [Path("a/b")]),
        (list[float], "[1, 2.5]", [1.0, 2.5]),
        (list[int | None], "[1, null]", [1, None]),
        (list[Literal[1, 2]], "[2]", [2]),
        (list[Colour], '["RED", "dark", 1]', [Colour.RED, Colour.DARK_BLUE, Colour.RED]),
        (list[list[int]] | None, "[[1], []]", [[1], []]),
        (dict[str, int], '{"a": 1}', {"a": 1}),
        (dict, '{"a": [1]}', {"a": [1]}),
        (Mapping[str, list[int]], '{"a": [1]}', {"a": [1]}),
    ],
)
def test_values_take_the_type_of_their_annotation(hint: Any, text: str, value: object) -> None:
    found = from_text(text, hint)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("hint", "text", "said"),
    [
        (int, "2.5", "does not fit int: Input should be a valid integer"),
        (int, "", "does not fit int: "),
        (int, "x", "does not fit int: Input should be a valid integer, unable to parse"),
        (float, "much", "does not fit float: Input should be a valid number"),
        (bool, "maybe", "does not fit bool: Input should be a valid boolean"),
        (int | None, "x", "does not fit int | None: Input should be a valid integer"),
        (int | float, "x", "does not fit int | float: int: Input should be a valid integer"),
        (Literal["a", "b"], "c", "does not fit Literal['a', 'b']: Input should be 'a' or 'b'"),
        (Colour, "green", "Input should be 1 or 'dark'"),
        (date, "yesterday", "does not fit datetime.date: Input should be a valid date"),
        (datetime, "20261122", "write it as ISO 8601 does"),
        (datetime, "-1.5e3", "write it as ISO 8601 does"),
        (list[datetime], '["20261122"]', "write it as ISO 8601 does"),
        (list[int], "1,2", "does not fit list[int]: Invalid JSON: trailing characters"),
        (list[int], "[1, 2", "does not fit list[int]: Invalid JSON: EOF while parsing"),
        (list[int], '["a"]', "does not fit list[int]: 0: Input should be a valid integer"),
        (list[int], '["1"]', "0: Input should be a valid integer"),
        (list[int], "[true]", "0: Input should be a valid integer"),
        (list[int], "{}", "does not fit list[int]: Input should be a valid array"),
        (list[str], "[1]", "does not fit list[str]: 0: Input should be a valid string"),
        (list[Colour], '["green"]', "0: Input should be 1 or 'dark'"),
        (tuple[int, int], "[1]", "does not fit tuple[int, int]: 1: Field required"),
        (dict[str, int], '{"a": "b"}', "does not fit dict[str, int]: a: Input should be a valid integer"),
        (dict[str, int], "[]", "does not fit dict[str, int]: Input should be an object"),
    ],
)
def test_what_does_not_fit_is_refused(hint: Any, text: str, said: str) -> None:
    with pytest.raises(ValueError, match=r".+") as caught:
        from_text(text, hint)
    assert said in str(caught.value)


async def main(run: object, tables: list[str], *, top: int = 5, fast: "bool" = False) -> None: ...


def test_arguments_are_bound_by_name() -> None:
    bound = bind(main, ['tables=["a"]', "top=3", "fast=yes"], skip=1, target="main")
    assert bound == {"tables": ["a"], "top": 3, "fast": True}


def test_defaults_are_left_to_the_target() -> None:
    assert bind(main, ["tables=[]"], skip=1, target="main") == {"tables": []}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "--param: missing a required argument: 'tables'"),
        (["tables=[]", "bottom=3"], "--param: got an unexpected keyword argument 'bottom'"),
        (["run=1", "tables=[]"], "--param: got an unexpected keyword argument 'run'"),
        (["tables=[]", "top=x"], "--param top: 'x' does not fit int: Input should be a valid integer"),
        (["tables"], "--param 'tables' is not of the form NAME=VALUE"),
        (["tables=[]", "tables=[]"], "--param tables is given twice"),
    ],
)
def test_errors_name_the_parameter_and_what_there_is(given: list[str], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        bind(main, given, skip=1, target="main")
    assert said in str(caught.value)
    if "twice" not in said:
        assert "; main takes (tables: list[str], *, top: int = 5, fast: bool = False)" in str(caught.value)


def test_any_name_goes_where_the_target_takes_all() -> None:
    async def takes_all(run: object, **numbers: int) -> None: ...

    assert bind(takes_all, ["a=1"], skip=1, target="takes_all") == {"a": 1}


def test_what_is_positional_only_is_refused() -> None:
    async def positional(run: object, value: int, /) -> None: ...

    with pytest.raises(UsageError, match="'value' parameter is positional only"):
        bind(positional, ["value=1"], skip=1, target="positional")


def test_untyped_parameters_are_text() -> None:
    async def untyped(run, value) -> None: ...  # type: ignore[no-untyped-def]  # noqa: ANN001

    assert bind(untyped, ["value=1"], skip=1, target="untyped") == {"value": "1"}


def test_annotations_that_cannot_be_read_are_said() -> None:
    async def unreadable(run: object, value: "Nowhere") -> None: ...  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(UsageError, match="Nowhere"):
        bind(unreadable, ["value=1"], skip=1, target="unreadable")


def test_a_type_that_text_cannot_make_is_refused() -> None:
    class Opaque: ...

    with pytest.raises(ValueError, match=r"cannot become .*Opaque: text makes no such value"):
        from_text("1,2", Opaque)
