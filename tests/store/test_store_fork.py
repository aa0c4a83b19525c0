"""A store in a forked child of the process that entered it."""

import asyncio
from pathlib import Path

import pytest
from directory_calls import RECORD
from forking import Tell, forked

from asyncsteps._errors import StoreClosedError
from asyncsteps.store import DirectoryStore, MemoryStore


def opened(kind: str, path: Path) -> DirectoryStore | MemoryStore:
    return DirectoryStore(path) if kind == "directory" else MemoryStore()


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("kind", ["directory", "memory"])
async def test_a_forked_child_is_refused_and_opens_its_own(tmp_path: Path, kind: str) -> None:
    store = opened(kind, tmp_path)

    async def use(tell: Tell) -> None:
        for call in (
            lambda: store.mark_done("child", RECORD),
            lambda: store.is_done("parent"),
            lambda: store.read_done("parent"),
            lambda: store.withdraw("parent"),
            store.done_page,
            store.list_done,
        ):
            with pytest.raises(StoreClosedError, match="entered by another process") as caught:
                await call()
        tell(str(caught.value))
        await store.__aexit__(None, None, None)  # as when an exception leaves the block there
        async with opened(kind, tmp_path) as own:
            tell(await own.mark_done("own", RECORD))

    async with store:
        await store.mark_done("parent", RECORD)
        ended = forked(lambda tell: asyncio.run(asyncio.wait_for(use(tell), 30)))
        assert ended.signal is None
        assert store.url in ended.told[0]
        assert ended.told[1] is True
        assert await store.mark_done("after", RECORD) is True
        assert await store.list_done() == ["after", *(["own"] if kind == "directory" else []), "parent"]
