"""Known intervals of names, against a model that remembers every name of a small space."""

from hypothesis import given
from hypothesis import strategies as st

from asyncsteps._run.known_names import KnownNames

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
