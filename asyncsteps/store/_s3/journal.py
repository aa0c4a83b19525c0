"""The journals of an S3 store: objects under a prefix beside that of the steps."""

import hashlib
from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Any

from asyncsteps._aws.codes import error_code
from asyncsteps._errors import StoreError
from asyncsteps.store._budget import one_budget
from asyncsteps.store._protocol import JournalFile
from asyncsteps.store._s3.bucket import BucketClient
from asyncsteps.store._s3.delete import delete
from asyncsteps.store._s3.page_parser import keys_of

_ROOT = "asyncsteps-journal"


def journal_prefix(prefix: str) -> str | None:
    """Return the key prefix of the journals of the steps under ``prefix``, which is normalised.

    It differs from the steps' prefix in its first character, so no listing of ``steps``, ``steps/`` or ``s``
    includes it. The listing of an empty prefix includes every key of the bucket, so there is no room for journals.
    """
    if not prefix:
        return None
    lead = "_" if prefix.startswith(".") else "."
    return f"{lead}{_ROOT}/{hashlib.sha256(prefix.encode()).hexdigest()[:32]}/"


class S3Journal:
    """Keeps the journals of runs as objects.

    Args:
        client: Sends the requests.
        prefix: Their key prefix.
        put_params: Further parameters of each put, such as the encryption of the store's marks.
    """

    remote = True

    def __init__(self, client: BucketClient, prefix: str, put_params: Mapping[str, Any]) -> None:
        self._client = client
        self._prefix = prefix
        self._put_params = {**put_params, "ContentType": "application/x-ndjson"}

    @property
    def where(self) -> str:
        """Their URL."""
        return f"s3://{self._client.bucket}/{self._prefix}"

    async def names(self) -> list[str]:
        """Return the names of all files, by one request for each 1,000."""
        names: list[str] = []
        token: str | None = None
        while True:
            more = {} if token is None else {"ContinuationToken": token}
            with one_budget():
                reply = await self._client.call("list_objects_v2", Prefix=self._prefix, **more)
            names += [key[len(self._prefix) :] for key in keys_of(reply.get("Contents", ()))]
            token = reply.get("NextContinuationToken") if reply.get("IsTruncated") else None
            if token is None:
                return names

    async def read(self, name: str) -> JournalFile | None:
        """Return a file, or None when there is none."""
        try:
            reply = await self._client.call("get_object", key=self._prefix + name)
        except StoreError as error:
            if error_code(error.__cause__) in {"NoSuchKey", "404"}:
                return None
            raise
        return JournalFile(reply["Body"], _age(reply))

    async def write(self, name: str, body: bytes) -> None:
        """Write a file, or replace it."""
        await self._client.call("put_object", key=self._prefix + name, Body=body, **self._put_params)

    async def remove(self, names: Sequence[str]) -> None:
        """Remove files, 1,000 a request."""
        await delete(self._client, names, prefix=self._prefix)


def _age(reply: Mapping[str, Any]) -> float:
    """How old an object was when it was sent, by the server's clock; 0 where it does not tell."""
    headers = reply["ResponseMetadata"]["HTTPHeaders"]
    try:
        sent, written = (parsedate_to_datetime(headers[name]) for name in ("date", "last-modified"))
        return max(0.0, (sent - written).total_seconds())
    except (KeyError, TypeError, ValueError):
        return 0.0
