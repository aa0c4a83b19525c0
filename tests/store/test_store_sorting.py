"""Steps told from foreign keys, many at once, as one by one."""

from hypothesis import example, given
from hypothesis import strategies as st

from asyncsteps._plan.names import is_step_name
from asyncsteps.store._common import StepSorter

keys = st.lists(
    st.text("ab.*/ é\n\x7f\u200b\ud800", max_size=5) | st.text("ab", min_size=255, max_size=257), max_size=6
)


@given(keys)
@example(["a", "b.c", "d e"])
@example(["a", "", "b"])
@example(["é" * 512, "é" * 513])
def test_a_batch_is_sorted_as_each_key_would_be(batch: list[str]) -> None:
    foreign: list[str] = []
    assert StepSorter("here", foreign.append).names(batch) == [key for key in batch if is_step_name(key)]
    assert foreign == [key for key in batch if not is_step_name(key)]
