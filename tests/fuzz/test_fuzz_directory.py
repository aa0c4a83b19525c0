"""The directory store over any directory: what is no step stays, and nothing outside of it is touched."""

import os
import shutil
from contextlib import suppress
from pathlib import Path

import pytest
from canary import snapshot
from fuzzing import examples, hostile_text, step_names
from hypothesis import example, given
from hypothesis import strategies as st
from odd_files import KINDS, here

from asyncsteps import DirectoryStore, StoreError
from asyncsteps._plan.names import is_step_name
from asyncsteps.store._directory.filenames import encode_name
from asyncsteps.store._directory.files import TEMPORARY

RECORD = {"run_id": "r"}
LONG = "x" * 200


file_names = st.one_of(
    step_names.map(encode_name).map(os.fsencode),
    hostile_text.map(
        lambda text: text.encode(errors="surrogateescape") if text.isascii() else text.encode("utf-8", "ignore")
    ),
    st.binary(min_size=1, max_size=8),
    st.sampled_from(
        [b"a", b"A", b"a~", b"%41", b"+a", b"..", b".hidden", TEMPORARY.encode(), f"{LONG}~".encode()]
    ),
)
inner_names = st.sampled_from([f"{LONG}~/{below}".encode() for below in ("y", f"{LONG}~", f"{LONG}~/y", "~", "z")])
"""What lies in the directories of a long name."""

entries = st.dictionaries(file_names | inner_names, st.sampled_from(sorted(KINDS)), max_size=5)
wanted = st.lists(
    step_names | st.sampled_from(["a", "A", LONG + "y", 2 * LONG + "y", "x" * 1_024]),
    min_size=1,
    max_size=4,
    unique=True,
)


def build(root: Path, outside: Path, given_entries: dict[bytes, str]) -> None:
    root.mkdir()
    outside.mkdir()
    (outside / "secret").write_text('{"outside": true}')
    (outside / "y").write_text('{"outside": true}')
    os.mkfifo(outside / "fifo")
    (outside / f"{LONG}~").mkdir()
    for name, kind in sorted(given_entries.items()):
        path = os.fsencode(root) + b"/" + (name if b"~/" in name else name.replace(b"/", b""))
        with suppress(OSError, ValueError):  # no name of a file here
            if (above := here(path).parent) != root and not above.is_symlink():
                above.mkdir(parents=True, exist_ok=True)
            if above.resolve().is_relative_to(root):
                KINDS[kind](path, outside)


@examples(80)
@given(given_entries=entries, names=wanted)
@example(given_entries={f"{LONG}~".encode(): "link to a directory"}, names=[LONG + "y"])
@example(given_entries={f"{LONG}~".encode(): "link to a directory"}, names=[2 * LONG + "y"])
@example(given_entries={f"{LONG}~".encode(): "link to a directory"}, names=["x" * 1_024])
@example(given_entries={f"{LONG}~".encode(): "FIFO"}, names=[LONG + "y"])
@example(given_entries={f"{LONG}~".encode(): "link to a FIFO"}, names=[LONG + "y"])
@example(given_entries={TEMPORARY.encode(): "link to a directory"}, names=["a"])
@example(given_entries={b"a": "link out", b"A": "file"}, names=["a", "A"])
async def test_what_is_no_step_stays_and_nothing_outside_is_touched(
    tmp_path: Path, given_entries: dict[bytes, str], names: list[str]
) -> None:
    root, outside = tmp_path / "steps", tmp_path / "outside"
    for folder in (root, outside):
        shutil.rmtree(folder, ignore_errors=True)
    build(root, outside, given_entries)
    around = snapshot(tmp_path, but=root)
    async with DirectoryStore(root) as store:
        unrecognised: list[str] = []
        done = await store.list_done(on_foreign=unrecognised.append)
        assert all(map(is_step_name, done))
        kept = {path: held for path, held in held_in(root).items() if not is_one_of(path, root, [*done, *names])}
        for name in names:
            assert await store.is_done(name) == (name in done)
            with suppress(StoreError):
                assert (await store.read_done(name) is None) == (name not in done)
            marked = False
            with suppress(StoreError):
                marked = await store.mark_done(name, RECORD)
            assert await store.is_done(name) is marked
            assert not marked or await store.read_done(name) == RECORD
        for name in names:
            marked = await store.is_done(name)
            assert await store.withdraw(name) == ([name] if marked else [])
            assert await store.is_done(name) is False
        assert set(await store.list_done(on_foreign=lambda _: None)) == set(done) - set(names)
    assert snapshot(tmp_path, but=root) == around
    assert {path: held_in(root).get(path) for path in kept} == kept


def held_in(root: Path) -> dict[Path, object]:
    """What lies in the store, but for what is read too slowly."""
    return {
        path: mode if path.stat(follow_symlinks=False).st_size > 2**20 else (mode, held_at(path))
        for path, mode in ((path, path.lstat().st_mode) for path in root.iterdir())
        if path.name != TEMPORARY and not path.name.endswith("~")
    }


def held_at(path: Path) -> object:
    if path.is_symlink():
        return path.readlink()
    return path.read_bytes() if path.is_file() else None


def is_one_of(path: Path, root: Path, names: list[str]) -> bool:
    return any(root / encode_name(name) == path for name in names)


BASES = {kind: make for kind, make in KINDS.items() if "directory" not in kind and kind != "sparse"}


@pytest.mark.parametrize("below", ["", "/below", "/below/../x"])
@pytest.mark.parametrize("kind", BASES)
async def test_what_is_no_directory_is_no_store_and_holds_nothing_up(
    tmp_path: Path, kind: str, below: str
) -> None:
    outside = tmp_path / "outside"
    build(tmp_path / "unused", outside, {})
    try:
        BASES[kind](os.fsencode(tmp_path / "steps"), outside)
    except PermissionError:
        pytest.skip("only root makes devices")
    around = snapshot(tmp_path)
    async with DirectoryStore(f"{tmp_path}/steps{below}") as store:
        for call in (
            lambda: store.list_done(on_foreign=lambda _: None),
            lambda: store.is_done("a"),
            lambda: store.read_done("a"),
            lambda: store.withdraw(["a", LONG + "y"]),
            lambda: store.mark_done("a", RECORD),
            lambda: store.mark_done(LONG + "y", RECORD, first_wins=True),
        ):
            with suppress(StoreError):
                await call()
    if kind != "link up":  # which is a directory
        assert snapshot(tmp_path) == around
