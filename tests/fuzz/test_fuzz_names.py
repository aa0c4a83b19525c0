"""Names and selectors: one rule for all who check, and file names that no file system mistakes for another's."""

import unicodedata
from itertools import combinations
from pathlib import PurePosixPath
from typing import Any

import pytest
from fuzzing import examples, hostile_text, refused, step_names, values
from hypothesis import assume, example, given
from hypothesis import strategies as st

from asyncsteps import SelectorError, Step, StepDefinitionError, StepNameError
from asyncsteps._plan.names import (
    as_reasoned_selectors,
    as_selectors,
    check_selector,
    check_step_name,
    is_step_name,
)
from asyncsteps.store._common import _are_names
from asyncsteps.store._directory.filenames import DEEPEST, decode_path, encode_name

LONGEST_FILE_NAME = 255


def is_exact(selector: Any) -> bool:
    return isinstance(selector, str) and selector.startswith("=") and is_step_name(selector[1:])


@examples(150)
@given(values)
def test_whatever_is_given_as_a_name_is_one_or_is_refused_by_its_rule(given_name: Any) -> None:
    error = refused(lambda: check_step_name(given_name), StepNameError)
    assert (error is None) == is_step_name(given_name)
    assert (refused(lambda: Step(given_name, print), StepNameError, StepDefinitionError) is None) >= (
        error is None
    )
    selector_error = refused(lambda: check_selector(given_name), SelectorError)
    assert (selector_error is None) == (error is None or given_name == "*" or is_exact(given_name))
    for each in (error, selector_error):
        assert each is None or str(each).isprintable()


@examples(100)
@given(values, st.text(max_size=8))
def test_selectors_of_any_form_are_taken_or_refused(given_selectors: Any, reason: str) -> None:
    refused(lambda: as_selectors(given_selectors), SelectorError)
    refused(lambda: as_reasoned_selectors(given_selectors), SelectorError)
    if isinstance(given_selectors, str):
        refused(lambda: as_reasoned_selectors({given_selectors: reason}), SelectorError)


@examples(100)
@given(st.lists(hostile_text | step_names, min_size=1, max_size=5))
def test_the_quick_check_of_many_names_never_lets_one_pass_that_is_none(keys: list[str]) -> None:
    assert not _are_names(keys) or all(map(is_step_name, keys))


@examples(200)
@given(step_names | hostile_text)
@example("A.a")
@example("con")
@example("a" * 200 + ".b")
def test_a_file_name_is_the_same_under_every_folding_of_case_and_every_normal_form(name: str) -> None:
    assume(is_step_name(name))
    path = encode_name(name)
    assert decode_path(path) == name
    assert path.isascii()
    assert path == path.lower() == path.casefold()
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        assert path == unicodedata.normalize(form, path)
    *folders, file = PurePosixPath(path).parts
    assert len(folders) <= DEEPEST
    assert all(len(part) <= LONGEST_FILE_NAME and part not in {".", ".."} for part in (*folders, file))
    assert not path.startswith(("/", "."))


ALIKE = [
    *("é", "e\u0301", "É", "E\u0301", "K", "\u212a", "k", "ss", "ß", "\u1e9e", "SS", "\ufb01", "fi", "i", "I"),
    *("\u0130", "\u0131", "%c3"),
]


@pytest.mark.parametrize(("one", "other"), list(combinations(ALIKE, 2)))
def test_names_that_differ_only_by_case_or_normal_form_share_no_file(one: str, other: str) -> None:
    """As a file system would see it that ignores both, in whatever order."""

    def seen(name: str) -> str:
        folded = unicodedata.normalize("NFKC", encode_name(f"load.{name}")).casefold().upper()
        return unicodedata.normalize("NFD", folded)

    assert seen(one) != seen(other)


@examples(200)
@given(st.text(st.sampled_from("aA.%+~/-0c3éx"), max_size=30) | hostile_text | st.binary(max_size=20).map(str))
def test_a_path_is_that_of_one_name_or_of_none(path: str) -> None:
    name = decode_path(path)
    assert name is None or encode_name(name) == path
