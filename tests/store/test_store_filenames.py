"""The file names of step names: reversible, safe on any file system, unchanged for ordinary names."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncsteps._plan.names import is_step_name
from asyncsteps.store._directory.filenames import decode_path, encode_name

SAFE = re.compile(r"[a-z0-9._+%~-]+")
names = st.text(min_size=1, max_size=340).filter(is_step_name)
ordinary = st.from_regex(r"[a-z0-9_-]{1,60}(\.[a-z0-9_-]{1,60}){0,2}", fullmatch=True)


@given(names)
def test_any_name_survives_and_fits(name: str) -> None:
    path = encode_name(name)
    assert decode_path(path) == name
    for piece in path.split("/"):
        assert SAFE.fullmatch(piece)
        assert len(piece) <= 255
        assert piece not in {".", ".."}
    assert not path.startswith(".")
    assert all(piece.endswith("~") for piece in path.split("/")[:-1])
    assert not path.endswith("~")


@given(names, names)
def test_names_that_differ_have_files_that_differ_in_more_than_case(one: str, other: str) -> None:
    assert (one == other) == (encode_name(one).lower() == encode_name(other).lower())


@given(ordinary)
def test_ordinary_names_are_unchanged(name: str) -> None:
    assert encode_name(name) == name


@given(st.text(max_size=60))
def test_what_decodes_is_the_one_encoding_of_its_name(path: str) -> None:
    name = decode_path(path)
    assert name is None or encode_name(name) == path


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("ingest.users.load", "ingest.users.load"),
        ("Load \u00e9t\u00e9", "+load%20%c3%a9t%c3%a9"),
        ("50%+~", "50%25%2b%7e"),
        ("a" * 300, "a" * 200 + "~/" + "a" * 100),
        ("a" * 200, "a" * 200),
        ("a" * 400, "a" * 200 + "~/" + "a" * 200),
    ],
)
def test_the_documented_encoding(name: str, path: str) -> None:
    assert encode_name(name) == path
    assert decode_path(path) == name


@pytest.mark.parametrize(
    "path", ["Load", "a b", "%61", "%C3%A9", "%ff", "%", "+", "+1", "a~", "a~/b", "a" * 201, "\u00e9", "~/"]
)
def test_other_files_are_no_names(path: str) -> None:
    assert decode_path(path) is None
