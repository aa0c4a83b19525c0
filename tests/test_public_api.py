import ast
import importlib.metadata
import inspect
from pathlib import Path

import pytest

import asyncsteps
import asyncsteps.swf
from asyncsteps import _errors


def test_all_is_sorted_and_there() -> None:
    capitals = [name for name in asyncsteps.__all__ if name.isupper()]
    classes = [name for name in asyncsteps.__all__ if name[0].isupper() and not name.isupper()]
    functions = [name for name in asyncsteps.__all__ if name[0].islower()]
    assert asyncsteps.__all__ == sorted(capitals) + sorted(classes) + sorted(functions)
    assert all(hasattr(asyncsteps, name) for name in asyncsteps.__all__)


def test_what_is_public_is_all_that_is_there() -> None:
    assert all(hasattr(asyncsteps, name) for name in asyncsteps.__all__)  # imported at their first use
    public = {
        name
        for name, value in vars(asyncsteps).items()
        if not name.startswith("_") and not inspect.ismodule(value)
    }
    assert public == set(asyncsteps.__all__)


def test_every_exception_is_public_and_has_the_base() -> None:
    exceptions = {
        name: value
        for name, value in vars(_errors).items()
        if inspect.isclass(value) and issubclass(value, Exception)
    }
    assert set(exceptions) <= set(asyncsteps.__all__)
    assert all(issubclass(value, asyncsteps.AsyncstepsError) for value in exceptions.values())


def test_every_public_name_of_swf_is_there_and_its_errors_are_public() -> None:
    from asyncsteps.swf import _errors as of_simpleflow
    from asyncsteps.swf._client import errors as of_the_client

    assert asyncsteps.swf.__all__ == sorted(asyncsteps.swf.__all__)
    values = {name: getattr(asyncsteps.swf, name) for name in asyncsteps.swf.__all__}
    assert all(inspect.getdoc(value) for value in values.values())
    errors = {
        name
        for module in (of_simpleflow, of_the_client)
        for name, value in vars(module).items()
        if inspect.isclass(value) and value.__module__ == module.__name__
    }
    assert errors <= values.keys()


@pytest.mark.parametrize("name", asyncsteps.__all__)
def test_every_public_name_is_documented(name: str) -> None:
    value = getattr(asyncsteps, name)
    if not isinstance(value, str):
        assert inspect.getdoc(value)


def test_the_version_is_the_distributions() -> None:
    assert asyncsteps.__version__ == importlib.metadata.version("asyncsteps")
    with pytest.raises(AttributeError, match="no attribute 'colour'"):
        asyncsteps.colour  # type: ignore[attr-defined]  # noqa: B018 - that it raises is the point


def test_type_checkers_find_each_name_where_it_is_imported_from() -> None:
    tree = ast.parse(Path(asyncsteps.__file__).read_text(encoding="utf-8"))
    (checked,) = (each for each in tree.body if isinstance(each, ast.If) and isinstance(each.test, ast.Attribute))
    found = {
        alias.name: str(each.module).removeprefix("asyncsteps.")
        for each in checked.body
        if isinstance(each, ast.ImportFrom) and each.module != "asyncsteps"
        for alias in each.names
    }
    assert found == asyncsteps._MODULES
