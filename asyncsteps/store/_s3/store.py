"""The S3 store, compatible with the done marks of simpleflow's own steps."""

import contextlib
import logging
from collections.abc import AsyncGenerator, Iterable, Mapping
from functools import partial
from itertools import islice, pairwise
from typing import Any, Self, cast

from asyncsteps._aws.codes import error_code
from asyncsteps._errors import ListingError, RecordError, StoreError, StoreOptionError
from asyncsteps._plan.names import (
    EVERYTHING,
    MAX_KEY_BYTES,
    STRICT,
    NameRule,
    is_step_name,
    matches,
    selects_alone,
)
from asyncsteps.store._budget import one_budget
from asyncsteps.store._common import BaseStore, KeyFilter
from asyncsteps.store._listing.fetching import list_keys
from asyncsteps.store._listing.page import Page
from asyncsteps.store._location import check_bucket, is_hidden, most_alike, normalise_prefix
from asyncsteps.store._protocol import DonePage, OnProgress
from asyncsteps.store._records import decode_record, encode_record
from asyncsteps.store._s3.bucket import BucketClient
from asyncsteps.store._s3.client import listing
from asyncsteps.store._s3.conditional_put import ConditionalPut
from asyncsteps.store._s3.delete import BATCH, withdraw
from asyncsteps.store._s3.journal import S3Journal, journal_prefix
from asyncsteps.store._s3.options import ClientOptions
from asyncsteps.store._s3.page_parser import keys_of

logger = logging.getLogger("asyncsteps.store")

_ENCRYPTIONS = ("AES256", "aws:kms", "aws:kms:dsse")
_DIRECTORY_BUCKET = "--x-s3"


class S3Store(BaseStore):
    """Keeps each done step as an object: the key is the prefix and the step's name, the body a JSON object.

    Nothing is sent before the store is first used. Botocore retries requests, and a listing requests failed pages
    again; see `asyncsteps.open_store` for ``timeout`` and ``attempts``. The credentials need ``s3:ListBucket`` on
    the bucket, and on the prefix ``s3:GetObject``, ``s3:PutObject`` and, for withdrawal, ``s3:DeleteObject``.

    Args:
        bucket: The bucket's name, or an access point's ARN.
        prefix: The complete key prefix; a slash is appended unless it is empty or ends in one.
        options: The client to use, or how to create one.
        sse: Server-side encryption of marks: True for ``AES256``, or a name such as ``aws:kms``.
        step_names: Which keys are steps: those whose names keep the rule of asyncsteps (``strict``), or those that
            simpleflow would play under this prefix (``simpleflow``).
    """

    _client: BucketClient
    _conditional_put: ConditionalPut

    def __init__(
        self,
        bucket: str,
        prefix: str = "",
        *,
        options: ClientOptions | None = None,
        sse: bool | str | None = None,
        step_names: NameRule = STRICT,
    ) -> None:
        super().__init__(normalise_prefix(prefix), step_names=step_names)
        self._bucket = check_bucket(bucket)
        self._put_params = put_params(sse)
        self._options = ClientOptions() if options is None else options
        self._is_directory_bucket = bucket.endswith(_DIRECTORY_BUCKET)
        self._ordered = not self._is_directory_bucket

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self._client = BucketClient(self._bucket, url=self.url, options=self._options)
        self._stack.push_async_callback(self._client.aclose)
        self._conditional_put = ConditionalPut(self._client)
        return self

    @property
    def bucket(self) -> str:
        """The bucket's name."""
        return self._bucket

    @property
    def prefix(self) -> str:
        """The complete key prefix."""
        return self._prefix

    @property
    def url(self) -> str:
        """``s3://bucket/prefix``."""
        return f"s3://{self._bucket}/{self._prefix}"

    @property
    def journal_files(self) -> S3Journal | None:
        """Where runs leave their journals: beside the prefix; None under an empty prefix, which has no beside."""
        self._require_open()
        prefix = journal_prefix(self._prefix)
        return None if prefix is None else S3Journal(self._client, prefix, self._put_params)

    @property
    def transport(self) -> str:
        """What sends small requests: ``botocore``, or, once S3 has answered it, ``direct``: past botocore."""
        self._require_open()
        return self._client.transport

    async def is_done(self, name: str) -> bool:
        """Whether ``name`` is done, by one HEAD request."""
        return await self._exists(self._checked(name))

    async def _exists(self, name: str) -> bool:
        return await self._client.head(self._prefix + name, name) is not None

    async def mark_done(self, name: str, record: Mapping[str, Any], *, first_wins: bool = False) -> bool:
        """Record ``name`` as done, durably; return whether this call's record is the stored one.

        This is one PUT request, a conditional one with ``first_wins``. The first of those takes a few more, to
        find out whether the server honours conditions.
        """
        self._checked(name)
        params = {**self._put_params, "Body": encode_record(name, record)}
        if first_wins:
            with one_budget():
                return await self._conditional_put.put(self._prefix + name, name, params=params)
        await self._client.call("put_object", key=self._prefix + name, step=name, **params)
        return True

    async def read_done(self, name: str) -> dict[str, Any] | None:
        """Return the record of ``name``, or None when it is not done."""
        self._checked(name)
        with one_budget():
            try:
                return await self._read(name)
            except RecordError:  # the answer may have lost its end on the way
                return await self._read(name)

    async def _read(self, name: str) -> dict[str, Any] | None:
        key = self._prefix + name
        try:
            reply = await self._client.call("get_object", key=key, step=name)
        except StoreError as error:
            if error_code(error.__cause__) in {"NoSuchKey", "404"}:
                return None
            raise
        return decode_record(name, reply["Body"], bucket=self._bucket, key=key)

    async def withdraw(self, names: Iterable[str]) -> list[str]:
        """Withdraw done marks; return those that were there, sorted.

        Each thousand takes two requests, side by side with the others: a look-up, since S3 does not tell which
        keys a deletion found, and the deletion of all, found or not: a look-up that is answered wrongly must not
        keep a mark alive. What cannot be looked up is not deleted.
        """
        wanted = self._checked_names(names)
        if not wanted:
            return []
        with one_budget(parts=-(-len(wanted) // BATCH)):
            return await withdraw(
                self._client, wanted, prefix=self._prefix, is_done=self._exists, done_page=self.done_page
            )

    async def done_page(self, start_after: str = "") -> DonePage:
        """Return one request's worth of done names greater than ``start_after`` (any string), in order.

        All names are listed instead if the server's pages are unordered or do not start after ``start_after``.
        """
        self._require_open()
        if self._ordered:
            with one_budget():
                page = await self._page_after(start_after)
            if page is not None:
                return page
            self._ordered = False
            logger.warning(
                "the server at %s gives pages that are out of order or ignore StartAfter: all is listed instead",
                self._client.context().get("endpoint"),
            )
        names_done = await self.list_done(on_foreign=lambda _: None)
        return DonePage(tuple(name for name in names_done if name > start_after), None)

    async def nearby(self) -> list[str]:
        """Return the URLs of a few prefixes beside this one that hold done steps, the most alike first."""
        self._require_open()
        parent = self._prefix.rstrip("/").rpartition("/")[0]
        parent += "/" if parent else ""
        beside = (await self._fetch(parent, delimiter="/")).prefixes
        urls: list[str] = []
        for prefix in most_alike(self._prefix, beside):
            folders = (key.rpartition("/") for key in (await self._fetch(prefix)).keys)
            holding = (f"{folder}/" for folder, _, name in folders if is_step_name(name) and not is_hidden(folder))
            urls += [f"s3://{self._bucket}/{folder}" for folder in islice(holding, 1)]
        return urls

    async def _page_after(self, start_after: str) -> DonePage | None:
        """Return the page after ``start_after``, or None when it is out of order or starts elsewhere."""
        after = self._prefix + _sendable(start_after, MAX_KEY_BYTES - len(self._prefix.encode()))
        page = await self._fetch(self._prefix, start_after=after if after != self._prefix else None)
        keys = page.keys
        while page.token is not None and (not keys or after < keys[-1] <= self._prefix + start_after):
            # No keys, or only keys between the position sent and the one meant: go on.
            page = await self._fetch(self._prefix, token=page.token)
            keys = [*keys[-1:], *page.keys]
        if any(low >= high for low, high in pairwise(keys)) or (
            keys and keys[0] <= after and after != self._prefix
        ):
            return None
        names = (key[len(self._prefix) :] for key in keys)
        through = keys[-1][len(self._prefix) :] if page.token is not None else None
        known = (name for name in names if is_step_name(name, by=self._step_names))
        return DonePage(tuple(name for name in known if name > start_after), through)

    async def _batches(
        self, under: str, key_filter: KeyFilter, on_progress: OnProgress | None
    ) -> AsyncGenerator[list[str], None]:
        # A directory bucket takes only prefixes that end in a slash, and lists in no particular order.
        below = "" if under == EVERYTHING or self._is_directory_bucket else f"{under}."
        if below:
            for name in selects_alone(under):
                storable = is_step_name(name, by=self._step_names) and _may_begin_a_key(self._prefix + name)
                if storable and await self._exists(name):
                    yield [name]
            if not _may_begin_a_key(self._prefix + under):
                return
        batches = list_keys(
            partial(self._fetch, retries_itself=True),
            self._prefix + below,
            concurrency=1 if self._is_directory_bucket else self._client.concurrency,
            allowed=lambda: self._client.concurrency,
            on_progress=on_progress,
        )
        start, exact = len(self._prefix), below or under == EVERYTHING
        async with contextlib.aclosing(cast("AsyncGenerator[list[str], None]", batches)):
            async for keys in batches:
                names = [key[start:] for key in keys]
                yield key_filter.names(names if exact else [name for name in names if matches(under, name)])

    async def _fetch(
        self,
        prefix: str,
        *,
        start_after: str | None = None,
        delimiter: str | None = None,
        token: str | None = None,
        retries_itself: bool = False,
    ) -> Page:
        """Fetch one page; see `FetchPage`."""
        given = {"StartAfter": start_after, "Delimiter": delimiter, "ContinuationToken": token}
        params = {name: value for name, value in given.items() if value is not None}
        with listing(retries_itself=retries_itself):
            reply = await self._client.call("list_objects_v2", Prefix=prefix, **params)
        following = reply.get("NextContinuationToken") if reply.get("IsTruncated") else None
        if reply.get("IsTruncated") and not following:
            raise ListingError(
                "the server says that there is more, and not how to go on", **self._client.context()
            )
        try:
            keys = keys_of(reply.get("Contents", ()))
            prefixes = [entry["Prefix"] for entry in reply.get("CommonPrefixes", ())]
        except (KeyError, TypeError) as error:
            raise ListingError("the server lists an object without a key", **self._client.context()) from error
        return Page(keys=keys, prefixes=prefixes, token=following)


def put_params(sse: bool | str | None) -> dict[str, Any]:
    """The parameters with which each mark is put, beside its key and body; ``sse`` is that of `S3Store`.

    Raises:
        StoreOptionError: When ``sse`` is no server-side encryption.
    """
    if not sse:
        return {"ContentType": "application/json"}
    name = "AES256" if sse is True else sse
    if name not in _ENCRYPTIONS:
        raise StoreOptionError(f"sse={sse!r} is no server-side encryption: True (AES256) or one of {_ENCRYPTIONS}")
    return {"ContentType": "application/json", "ServerSideEncryption": name}


def _may_begin_a_key(text: str) -> bool:
    """Whether a key may begin with ``text``: none is longer, and none has a lone surrogate."""
    try:
        return len(text.encode()) <= MAX_KEY_BYTES
    except UnicodeEncodeError:
        return False


def _sendable(position: str, room: int) -> str:
    """Return a string not greater than ``position``, and close to it, that fits into ``room`` bytes of a key."""
    try:
        encoded = position.encode()
    except UnicodeEncodeError as error:  # a lone surrogate sorts above U+D7FF and below U+E000
        encoded = f"{position[: error.start]}\ud7ff".encode()
    return encoded[: max(room, 0)].decode(errors="ignore")
