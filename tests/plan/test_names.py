"""Step names and selectors: every rule, and how a selector matches."""

import posixpath
import re
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncsteps._errors import AsyncstepsError, SelectorError, StepNameError
from asyncsteps._plan.names import (
    as_reasoned_selectors,
    as_selectors,
    below,
    check_selector,
    check_step_name,
    is_step_name,
    matches,
    selectors_of,
    selects_alone,
)

BAD_NAMES: list[tuple[Any, str]] = [
    (None, "must be a str, not NoneType"),
    (7, "must be a str, not int"),
    (b"a", "must be a str, not bytes"),
    (["a"], "must be a str, not list"),
    ("", "at least one segment"),
    ("/evil", "must not contain '/'"),
    ("a/b", "must not contain '/'"),
    ("a\nb", "control characters"),
    ("a\x00", "control characters"),
    ("a\x7f", "control characters"),
    ("a\x85", "control characters"),
    ("a\ud800", "lone surrogates"),
    (".", "empty segment"),
    ("a.", "empty segment"),
    (".a", "empty segment"),
    ("a..b", "empty segment"),
    ("a.*", "segment must not be '*'"),
    ("*.a", "segment must not be '*'"),
    ("x" * 1025, "at most 1024 bytes"),
    ("é" * 513, "at most 1024 bytes"),
]


@pytest.mark.parametrize(("name", "rule"), BAD_NAMES, ids=repr)
def test_a_bad_name_is_refused_with_the_rule_that_it_breaks(name: Any, rule: str) -> None:
    assert not is_step_name(name)
    with pytest.raises(StepNameError, match=re.escape(rule)) as caught:
        check_step_name(name)
    assert caught.value.name == name
    assert rule in caught.value.rule
    assert isinstance(caught.value, ValueError)
    with pytest.raises(SelectorError, match=re.escape(rule)) as selector_error:
        check_selector(name)
    assert selector_error.value.selector == name


BAD_BY_SIMPLEFLOW: list[tuple[Any, str]] = [
    (7, "must be a str, not int"),
    ("", "at least one segment"),
    ("/evil", "must not begin with '/'"),
    ("//", "must not begin with '/'"),
    ("..", "'.' or '..' between slashes"),
    (".", "'.' or '..' between slashes"),
    ("../evil", "'.' or '..' between slashes"),
    ("a/../../evil", "'.' or '..' between slashes"),
    ("a/..", "'.' or '..' between slashes"),
    ("a/./b", "'.' or '..' between slashes"),
    (".asyncsteps-doctor/3f1c", "puts its probes"),
    ("a\nb", "control characters"),
    ("a/\ud800", "lone surrogates"),
    ("é/" * 342, "at most 1024 bytes"),
]


@pytest.mark.parametrize(("name", "rule"), BAD_BY_SIMPLEFLOW, ids=repr)
def test_by_simpleflows_rule_what_may_leave_the_prefix_is_refused(name: Any, rule: str) -> None:
    assert not is_step_name(name, by="simpleflow")
    with pytest.raises(StepNameError, match=re.escape(rule)):
        check_step_name(name, by="simpleflow")


@pytest.mark.parametrize(
    "name", ["2026/users", "load..users", "a.", ".a", "*", "a.*", "a/", "a//b", "..a/b..", "..."]
)
def test_by_simpleflows_rule_what_stays_under_the_prefix_passes(name: str) -> None:
    assert not is_step_name(name)
    assert check_step_name(name, by="simpleflow") == name
    with pytest.raises(StepNameError, match="1025 bytes"):
        check_step_name(name, by="simpleflow", prefix="x" * (1025 - len(name)))


@given(st.text(max_size=12) | st.text("ab.*/ \n", max_size=8))
def test_a_name_by_our_rule_is_one_by_simpleflows(name: str) -> None:
    under = f"w/steps/{name}"
    if is_step_name(name, by="simpleflow"):
        assert posixpath.join("w/steps/", name) == under
        assert posixpath.normpath(under).startswith("w/steps/")
    else:
        assert not is_step_name(name)


def test_by_simpleflows_rule_every_str_is_a_selector() -> None:
    assert as_selectors(["", "a.", "/", "*", "a\n"], by="simpleflow") == ("", "a.", "/", "*", "a\n")
    assert as_reasoned_selectors({"": None, "b..": "why"}, by="simpleflow") == (("", None), ("b..", "why"))
    for wrong in (7, [7], {7: "why"}):
        with pytest.raises(SelectorError, match="must be a str"):
            as_reasoned_selectors(wrong, by="simpleflow")


def test_the_star_is_a_selector_and_no_name() -> None:
    assert check_selector("*") == "*"
    with pytest.raises(StepNameError, match="'\\*' is the selector of all steps"):
        check_step_name("*")


@pytest.mark.parametrize(
    "name",
    [
        "a",
        "a.b.c",
        "load users",
        "été.naïve",
        "a-b_c:d",
        "日本.語",
        "a*b",
        "**",
        "%2e",
        "🙂",
        "x" * 1024,
        "é" * 512,
    ],
)
def test_what_simpleflow_users_have_and_is_safe_passes(name: str) -> None:
    assert is_step_name(name)
    assert check_step_name(name) == name
    assert check_selector(name) == name


def test_prefix_and_name_together_are_at_most_a_key() -> None:
    assert check_step_name("x" * 1020, prefix="abc/") == "x" * 1020
    with pytest.raises(StepNameError, match=r"prefix 'abcd/' .* a key of 1025 bytes .* shorten one of them"):
        check_step_name("x" * 1020, prefix="abcd/")
    with pytest.raises(StepNameError, match="1025 bytes"):
        check_step_name("x" * 1022, prefix="é/")


@given(st.text(max_size=12) | st.text("ab.*/ \n", max_size=8))
def test_names_are_valid_by_the_rules_and_no_others(name: str) -> None:
    ordinary = all(char != "/" and unicodedata.category(char) not in {"Cc", "Cs"} for char in name)
    assert is_step_name(name) == (ordinary and all(segment not in {"", "*"} for segment in name.split(".")))


@pytest.mark.parametrize(
    ("selector", "name", "expected"),
    [
        ("*", "a", True),
        ("*", "a.b.c", True),
        ("a.b", "a.b", True),
        ("a.b", "a.b.c", True),
        ("a.b", "a.bc", False),
        ("a.b", "a", False),
        ("a.b", "x.a.b", False),
        ("=a.b", "a.b", True),
        ("=a.b", "a.b.c", False),
        ("=a.b", "a", False),
        ("=a.b", "=a.b", True),  # a name may begin with "="
        ("=a.b", "=a.b.c", True),
        ("==a.b", "=a.b", True),
        ("==a.b", "=a.b.c", False),
        ("=", "=", True),
        ("=", "a", False),
        ("=*", "a", False),
    ],
)
def test_a_selector_matches_a_name_and_what_is_below_it(selector: str, name: str, expected: bool) -> None:
    assert matches(selector, name) is expected
    assert (selector in set(selectors_of(name))) is expected


@pytest.mark.parametrize("selector", ["=a", "=a.b c", "==a", "=", "=*", "=" + "x" * 1024, "=.a"])
def test_a_name_behind_an_equals_sign_is_a_selector(selector: str) -> None:
    assert as_selectors(selector) == (selector,)


@pytest.mark.parametrize(
    ("selector", "rule"), [("=a/b", "'/'"), ("=a..b", "empty segment"), ("=a.*", "'*'"), ("=a\n", "control")]
)
def test_what_is_no_name_with_or_without_its_equals_sign_is_no_selector(selector: str, rule: str) -> None:
    with pytest.raises(SelectorError, match=re.escape(rule)) as caught:
        check_selector(selector)
    assert "'=a.b' that name alone" in str(caught.value)


names = st.lists(st.text("ab=", min_size=1, max_size=2), min_size=1, max_size=4).map(".".join)
given_selectors = names | st.just("*") | names.map("={}".format)


@given(given_selectors, names)
def test_the_selectors_of_a_name_are_all_that_match_it(selector: str, name: str) -> None:
    its, mine = name.split("."), selector.split(".")
    expected = selector in ("*", f"={name}") or its[: len(mine)] == mine
    assert matches(selector, name) == expected
    assert (selector in list(selectors_of(name))) == expected
    assert len(set(selectors_of(name))) == len(list(selectors_of(name))) == len(its) + 2


@given(given_selectors, names | names.map(lambda name: name.replace("a", "-")))
def test_the_names_below_a_selector_lie_between_its_bounds(selector: str, name: str) -> None:
    low, high = below(selector)
    alone = () if selector == "*" else selects_alone(selector)
    assert all(matches(selector, each) for each in alone)
    expected = matches(selector, name) and name not in alone
    assert (low < name and (high is None or name < high)) == expected
    assert name.startswith(low) == expected
    assert selector != "*" or (low, high) == ("", None)


def test_a_bare_str_is_one_selector() -> None:
    assert as_selectors("abc") == ("abc",)
    assert as_selectors(["a", "b.c", "*"]) == ("a", "b.c", "*")
    assert as_selectors(selector for selector in ("a", "b")) == ("a", "b")
    assert as_selectors(()) == ()


@pytest.mark.parametrize(
    ("given", "says"),
    [(7, "iterable of str, not int"), (None, "not NoneType"), (["a", "b."], "'b.'"), ("a.*", "'a.*'"), ([1], "1")],
)
def test_malformed_selectors_are_refused(given: object, says: str) -> None:
    with pytest.raises(SelectorError, match=re.escape(says)):
        as_selectors(given)
    with pytest.raises(SelectorError, match=re.escape(says)):
        as_reasoned_selectors(given)


def test_a_mapping_gives_each_selector_its_reason() -> None:
    assert as_reasoned_selectors({"a": "because", "b.c": None}) == (("a", "because"), ("b.c", None))
    assert as_reasoned_selectors(["a", "*"]) == (("a", None), ("*", None))
    assert as_reasoned_selectors("abc") == (("abc", None),)
    with pytest.raises(SelectorError, match="its reason must be a str or None, not int"):
        as_reasoned_selectors({"a": 7})
    with pytest.raises(SelectorError, match="empty segment"):
        as_reasoned_selectors({"a.": "because"})


def test_every_error_is_ours() -> None:
    assert issubclass(StepNameError, AsyncstepsError)
    assert issubclass(SelectorError, AsyncstepsError)
