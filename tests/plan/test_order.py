"""Where ranges of strings begin and end, in order of code points."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncsteps._plan.order import LAST_CHARACTER, just_before, prefix_end

LAST = LAST_CHARACTER

texts = st.text(st.characters(codec="utf-8"), max_size=6) | st.text("a\x00 \ud7ff\ue000" + LAST, max_size=6)


@pytest.mark.parametrize(
    ("prefix", "end"),
    [("a", "b"), ("a.", "a/"), (f"a{LAST}", "b"), ("\ud7ff", "\ue000"), ("", LAST * 257), (LAST, LAST * 257)],
)
def test_a_prefix_ends_just_above_all_that_starts_with_it(prefix: str, end: str) -> None:
    assert prefix_end(prefix) == end


@given(texts, texts)
def test_a_string_is_below_a_prefixs_end_exactly_if_it_is_below_the_prefix_or_starts_with_it(
    prefix: str, other: str
) -> None:
    assert (other < prefix_end(prefix)) == (other < prefix or other.startswith(prefix))


@pytest.mark.parametrize(
    ("text", "before"),
    [
        ("b", f"a{LAST}"),
        ("a0", f"a/{LAST}"),
        ("a\x00", "a"),
        ("a ", "a"),
        ("a!", f"a {LAST}"),
        ("\ue000", f"\ud7ff{LAST}"),
        ("b" * 1020, "b" * 1019 + f"a{LAST}"),
        ("b" * 1021, "b" * 1020 + "a"),
        ("é" * 512, "é" * 511 + "è"),
    ],
)
def test_just_before_is_below_the_text(text: str, before: str) -> None:
    assert just_before(text) == before < text


@given(texts.filter(bool))
def test_just_before_is_no_longer_than_a_key(text: str) -> None:
    long = "x" * (1024 - len(text.encode())) + text
    assert len(just_before(long).encode()) <= 1024
    assert just_before(long) < long
    assert just_before(text) < text
