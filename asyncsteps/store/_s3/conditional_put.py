"""Conditional puts, so that the first mark wins, with a fallback for servers that ignore the condition."""

import logging
import random
import uuid
from collections.abc import Mapping

from anyio import Lock, sleep

from asyncsteps._aws.codes import error_code
from asyncsteps._errors import StoreError
from asyncsteps.store._s3.bucket import BucketClient

logger = logging.getLogger("asyncsteps.store")

_MARK = "asyncsteps-mark"
_MAX_CONFLICTS = 6
_EXISTS = {"PreconditionFailed", "412"}
_CONFLICT = {"ConditionalRequestConflict", "409"}
_NOT_IMPLEMENTED = {"NotImplemented", "501"}


class ConditionalPut:
    """Puts objects that do not exist yet; of concurrent calls one wins.

    This takes ``If-None-Match: *``, which some servers ignore. The first put is therefore repeated, and must be
    refused. If it is not, that is logged once; from then on the object is looked up before each put, and its owner
    after it. The result is then still correct, but concurrent calls may overwrite each other.

    Args:
        client: The bucket.
    """

    def __init__(self, client: BucketClient) -> None:
        self._client = client
        self._honoured: bool | None = None
        self._proving = Lock()

    async def put(self, key: str, step: str, *, params: Mapping[str, object]) -> bool:
        """Put an object that does not exist yet; return whether this call's object is the stored one.

        Args:
            key: Its key.
            step: The step's name, for errors.
            params: Further parameters of ``put_object``.
        """
        owner = uuid.uuid4().hex
        params = {**params, "Metadata": {_MARK: owner}}
        if self._honoured is None:
            if await self._owner(key, step) is not None:
                return False
            async with self._proving:
                if self._honoured is None:
                    return await self._prove(key, step, params, owner)
        if self._honoured:
            return await self._put_conditionally(key, step, params, owner)
        return await self._put_unconditionally(key, step, params, owner)

    async def _prove(self, key: str, step: str, params: Mapping[str, object], owner: str) -> bool:
        """Do the first put, and find out whether the server honours conditions."""
        if await self._owner(key, step) is not None:  # another task was first
            return False
        try:
            stored = await self._put_conditionally(key, step, params, owner)
            self._honoured = not stored or await self._is_refused(key, step, params)
        except StoreError as error:
            if error_code(error.__cause__) not in _NOT_IMPLEMENTED:
                raise
            stored = self._honoured = False
        if self._honoured is not False:
            return stored
        logger.warning(
            "the server at %s does not honour 'If-None-Match: *': the first of two marks is kept only as far as "
            "looking before and after writing can see",
            self._client.context().get("endpoint"),
        )
        if not stored:
            return await self._put_unconditionally(key, step, params, owner)
        return await self._owner(key, step) in {owner, None}  # None: withdrawn since

    async def _put_conditionally(self, key: str, step: str, params: Mapping[str, object], owner: str) -> bool:
        for conflicts in range(_MAX_CONFLICTS):
            try:
                await self._attempt(key, step, params)
            except StoreError as error:
                refused = error_code(error.__cause__)
                if refused in _EXISTS:
                    # Perhaps by the first attempt of this very request, whose reply was lost.
                    return await self._owner(key, step) == owner
                if refused not in _CONFLICT or conflicts == _MAX_CONFLICTS - 1:
                    raise
            else:
                return True
            await sleep(random.uniform(0, 0.02 * 2**conflicts))  # noqa: S311 -- jitter
        raise AssertionError("the last conflict is raised")  # pragma: no cover

    async def _is_refused(self, key: str, step: str, params: Mapping[str, object]) -> bool | None:
        """Whether the server refuses to put an object that exists; None when the request fails.

        Tried twice: when the mark was withdrawn meanwhile, the server is right to accept the put.
        """
        for _ in range(2):
            try:
                await self._attempt(key, step, params)
            except StoreError as error:
                code = error_code(error.__cause__)
                if code in _EXISTS or code in _CONFLICT:
                    return True
                return False if code in _NOT_IMPLEMENTED else None
        return False

    async def _attempt(self, key: str, step: str, params: Mapping[str, object]) -> None:
        await self._client.call("put_object", key=key, step=step, IfNoneMatch="*", **params)

    async def _put_unconditionally(self, key: str, step: str, params: Mapping[str, object], owner: str) -> bool:
        if await self._owner(key, step) is not None:
            return False
        await self._client.call("put_object", key=key, step=step, **params)
        return await self._owner(key, step) == owner

    async def _owner(self, key: str, step: str) -> str | None:
        """Return which call put the object: None when there is none, "" when it was another program."""
        head = await self._client.head(key, step)
        if head is None:
            return None
        metadata = {name.lower(): value for name, value in head.get("Metadata", {}).items()}
        return str(metadata.get(_MARK, ""))
