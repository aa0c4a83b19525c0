"""First completion wins on S3: conditional writes, and what to do where a server ignores the condition."""

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
    """Writes objects that do not exist yet, one winner among racers.

    ``If-None-Match: *`` does it, where the server honours it; some ignore it and overwrite. So the first write is
    made again: that must be refused. Where it is not, that is logged once, and existence is looked up before each
    write and the winner read back after it: true for what it says, but two racers may both write.

    Args:
        client: The bucket.
    """

    def __init__(self, client: BucketClient) -> None:
        self._client = client
        self._honoured: bool | None = None
        self._proving = Lock()

    async def put(self, key: str, step: str, *, params: Mapping[str, object]) -> bool:
        """Write an object that does not exist yet; whether this call's is the stored one.

        Args:
            key: Its key.
            step: The step's name, for errors.
            params: What ``put_object`` takes besides.
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
        """The first write of the store, which also finds out what the server does with conditions."""
        if await self._owner(key, step) is not None:  # since this task waited for its turn
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
            self._client.place().get("endpoint"),
        )
        if not stored:
            return await self._put_unconditionally(key, step, params, owner)
        return await self._owner(key, step) in {owner, None}  # None: stored, and withdrawn since

    async def _put_conditionally(self, key: str, step: str, params: Mapping[str, object], owner: str) -> bool:
        for conflicts in range(_MAX_CONFLICTS):
            try:
                await self._attempt(key, step, params)
            except StoreError as error:
                refused = error_code(error.__cause__)
                if refused in _EXISTS:
                    # It may have been sent twice, the first time with success and no reply.
                    return await self._owner(key, step) == owner
                if refused not in _CONFLICT or conflicts == _MAX_CONFLICTS - 1:
                    raise
            else:
                return True
            await sleep(random.uniform(0, 0.02 * 2**conflicts))  # noqa: S311 -- to come apart, not to be secret
        raise AssertionError("the last conflict is raised")  # pragma: no cover

    async def _is_refused(self, key: str, step: str, params: Mapping[str, object]) -> bool | None:
        """Whether the server refuses to write what was just written; None when it fails to tell.

        Asked twice, since somebody may withdraw the mark meanwhile, and then it is right to write it.
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
        """Which call wrote the object: None where there is none, "" where another program did."""
        head = await self._client.head(key, step)
        if head is None:
            return None
        metadata = {name.lower(): value for name, value in head.get("Metadata", {}).items()}
        return str(metadata.get(_MARK, ""))
