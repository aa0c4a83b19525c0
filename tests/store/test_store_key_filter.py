"""Filtering a batch of keys gives the same step names as asking for each key."""

from hypothesis import example, given
from hypothesis import strategies as st

from asyncsteps._plan.names import is_step_name
from asyncsteps.store._common import KeyFilter

keys = st.lists(
    st.text("ab.*/ é\n\x7f\u200b\ud800", max_size=5) | st.text("ab", min_size=255, max_size=257), max_size=6
)


@given(keys)
@example(["a", "b.c", "d e"])
@example(["a", "", "b"])
@example(["é" * 512, "é" * 513])
def test_a_batch_is_sorted_as_each_key_would_be(batch: list[str]) -> None:
    unrecognised: list[str] = []
    assert KeyFilter("here", unrecognised.append).names(batch) == [key for key in batch if is_step_name(key)]
    assert unrecognised == [key for key in batch if not is_step_name(key)]
