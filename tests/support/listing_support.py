"""Listing a model of a server, and holding what comes to a plain listing."""

import asyncio
from typing import Any

from listing_model import ModelStore

from asyncsteps.store._listing.fetching import list_keys
from asyncsteps.store._listing.page import FetchPage
from asyncsteps.testing import run_virtually

PREFIX = "people/42/steps/"


async def listed(fetch: FetchPage, prefix: str = PREFIX, *, concurrency: int = 32) -> list[str]:
    keys = [key async for batch in list_keys(fetch, prefix, concurrency=concurrency) for key in batch]
    assert asyncio.all_tasks() == {asyncio.current_task()}
    return keys


def store_of(names: list[str], **options: Any) -> ModelStore:
    return ModelStore([PREFIX + name for name in names], **options)


def assert_lists(store: ModelStore, prefix: str = PREFIX, *, concurrency: int = 32) -> None:
    keys = run_virtually(listed(store, prefix, concurrency=concurrency))
    expected = [key for key in store.keys if key.startswith(prefix)]
    assert len(keys) == len(expected), "each key exactly once"
    assert sorted(keys) == expected
    assert store.peak <= concurrency
