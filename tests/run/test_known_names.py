"""Known intervals of names, against a model that remembers every name of a small space."""

from hypothesis import given
from hypothesis import strategies as st

from asyncsteps._run.intervals import KnownNames, just_before

SPACE = [first + second for first in " a.b" for second in ["", *" a.b"]]
position = st.sampled_from(["", *SPACE])
lessons = st.lists(st.tuples(position, st.none() | position, st.sets(st.sampled_from(SPACE))), max_size=12)


@given(lessons)
def test_answers_are_those_of_the_last_lesson_that_covers_a_name(
    taught: list[tuple[str, str | None, set[str]]],
) -> None:
    known = KnownNames()
    model: dict[str, bool] = {}
    for low, high, names in taught:
        if high is not None and high <= low:
            continue
        inside = [name for name in sorted(SPACE) if name > low and (high is None or name <= high)]
        known.learn(low, high, [name for name in inside if name in names])
        model.update((name, name in names) for name in inside)
    for name in SPACE:
        assert known.covers(name) == (name in model)
        assert (name in known) == model.get(name, False)
    assert list(known.between("", None)) == sorted(name for name, done in model.items() if done)


@given(lessons, position)
def test_reach_is_a_gapless_stretch(taught: list[tuple[str, str | None, set[str]]], start: str) -> None:
    known = KnownNames()
    for low, high, _ in taught:
        if high is None or high > low:
            known.learn(low, high, [])
    reach = known.reach(start)
    for name in SPACE:
        if name > start and (reach is None or name <= reach):
            assert known.covers(name)
    if reach is not None:
        assert not known.covers(reach + "\0")


@given(st.text(min_size=1, max_size=4), st.text(max_size=4))
def test_just_before_leaves_out_only_what_is_lower(name: str, other: str) -> None:
    start = just_before(name)
    assert start < name
    if other < name and other[: len(name) - 1] == name[:-1] and "\U0010ffff" not in other[-1:]:
        assert other <= start


def test_just_before_never_outgrows_a_key() -> None:
    assert len(just_before("n" * 1024).encode()) <= 1024
    assert just_before("\0") == ""
    assert just_before("\ue000") == "\ud7ff\U0010ffff"
