"""What the credentials may do under a prefix: each permission is tried on an object of our own.

The requests are those of a workflow's store, sent by its client.
"""

import datetime as dt
import json
import socket
import uuid
from collections.abc import Awaitable, Callable
from email.utils import parsedate_to_datetime
from typing import Any

import anyio

from asyncsteps._aws.codes import DENIED_CODES, error_code
from asyncsteps._errors import AccessDeniedError, StoreError
from asyncsteps._plan.names import PROBES
from asyncsteps.store._s3.bucket import BucketClient
from asyncsteps.store._s3.delete import delete
from asyncsteps.store._s3.store import put_params
from asyncsteps.swf._doctor.check import Check, Verdict, failed, ok, skipped, warning
from asyncsteps.swf._doctor.clock import check_clock

_CLEAN_UP_SECONDS = 20.0
_PRECONDITION_FAILED = {"412", "PreconditionFailed"}


class Prober:
    """Tries what the credentials may do under one prefix.

    Args:
        client: The client of the bucket.
        prefix: The complete key prefix, empty or with a slash at its end.
        sse: The server-side encryption that workflows ask for.
        area: What the checks belong to.
        needed_for: What the permissions on this prefix are needed for.
    """

    def __init__(self, client: BucketClient, prefix: str, *, sse: str | None, area: str, needed_for: str) -> None:
        self._client = client
        self._prefix = prefix
        self._sse = sse
        self._area = area
        self._needed_for = needed_for
        self._name = f"{PROBES}{uuid.uuid4().hex}"
        self._key = prefix + self._name
        self._is_put = False
        self._body = json.dumps(
            {
                "what": "a probe of `asyncsteps swf doctor`; it may be deleted",
                "made_by": socket.gethostname(),
                "made_at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
            }
        ).encode()

    async def check(self) -> list[Check]:
        """Try each permission; the object that this takes is removed again, whatever happens."""
        checks = await self._list()
        if checks[0].name == "bucket":
            return [*checks, skipped(self._area, "objects", "the bucket cannot be used")]
        try:
            checks.append(await self._tried("PUT", "s3:PutObject", self._put))
            for name, permission, attempt in (
                ("GET", "s3:GetObject", self._get),
                ("conditional PUT", "s3:PutObject", self._put_again),
            ):
                if self._is_put:
                    checks.append(await self._tried(name, permission, attempt))
                else:
                    checks.append(skipped(self._area, name, "there is no object to try it on, because PUT failed"))
        finally:
            deleted = failed(self._area, "DELETE", f"no answer within {_CLEAN_UP_SECONDS:g} s")
            with anyio.CancelScope(shield=True), anyio.move_on_after(_CLEAN_UP_SECONDS):
                deleted = await self._tried("DELETE", "s3:DeleteObject", self._delete)
        if self._is_put and deleted.verdict is not Verdict.OK:
            left = f"the probe is left: remove s3://{self._client.bucket}/{self._key}"
            deleted = failed(self._area, "DELETE", f"{deleted.detail}; {left}")
        return [*checks, deleted]

    async def _list(self) -> list[Check]:
        try:
            answer = await self._client.call("list_objects_v2", Prefix=self._prefix)
            left = await self._client.call("list_objects_v2", Prefix=self._prefix + PROBES)
        except StoreError as error:
            name = "LIST" if _is_denied(error) else "bucket"
            return [failed(self._area, name, self._why("s3:ListBucket on the bucket", error))]
        found = "there are objects" if answer.get("Contents") else "there are no objects yet"
        headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        where = f"s3://{self._client.bucket}/{self._prefix}"
        checks = [
            ok(self._area, "LIST", f"allowed on {where}; {found}"),
            check_clock(self._area, _date(headers), dt.datetime.now(dt.UTC)),
        ]
        if left.get("Contents"):
            said = f"a doctor that was killed, or still runs, left some: see {where}{PROBES}"
            checks.append(warning(self._area, "probes", said))
        return checks

    async def _tried(self, name: str, permission: str, attempt: Callable[[], Awaitable[Check]]) -> Check:
        try:
            return await attempt()
        except StoreError as error:
            return failed(self._area, name, self._why(permission, error))

    def _why(self, permission: str, error: StoreError) -> str:
        if not _is_denied(error):
            return str(error)
        why = f"allow {permission} (s3://{self._client.bucket}/{self._prefix}*), needed for {self._needed_for}"
        if "explicit deny" in _said(error):
            why = f"an explicit deny, which outweighs what else allows {permission}: see the bucket's policy"
        if permission == "s3:PutObject":
            why += (
                f"; it was sent with the encryption {self._sse} (SIMPLEFLOW_S3_SSE)"
                if self._sse
                else "; if the bucket's policy demands encryption, set SIMPLEFLOW_S3_SSE for deciders and workers"
            )
        return f"denied: {why}"

    async def _put(self) -> Check:
        self._is_put = True  # also where the reply is lost
        try:
            await self._client.call("put_object", key=self._key, Body=self._body, **put_params(self._sse))
        except StoreError as error:
            self._is_put = error_code(error.__cause__) is None
            raise
        return ok(self._area, "PUT", f"allowed, encrypted by {self._sse}" if self._sse else "allowed")

    async def _get(self) -> Check:
        answer = await self._client.call("get_object", key=self._key)
        if answer["Body"] == self._body:
            return ok(self._area, "GET", "allowed")
        return failed(
            self._area, "GET", "an object that was just written came back changed: check the endpoint and proxies"
        )

    async def _put_again(self) -> Check:
        params = {**put_params(self._sse), "Body": self._body, "IfNoneMatch": "*"}
        try:
            await self._client.call("put_object", key=self._key, **params)
        except StoreError as error:
            if error_code(error.__cause__) not in _PRECONDITION_FAILED:
                raise
            return ok(self._area, "conditional PUT", "honoured: of two first marks one wins")
        return warning(
            self._area,
            "conditional PUT",
            "the server ignores If-None-Match: of two marks that are to be the first, either may stay",
        )

    async def _delete(self) -> Check:
        await delete(self._client, [self._name], prefix=self._prefix)
        return ok(self._area, "DELETE", "allowed")


def _is_denied(error: StoreError) -> bool:
    """Whether a permission is missing; not where the credentials are not accepted."""
    return isinstance(error, AccessDeniedError) and (
        error.__cause__ is None or error_code(error.__cause__) in DENIED_CODES
    )


def _said(error: StoreError) -> str:
    return str(error.__cause__ or error)


def _date(headers: Any) -> dt.datetime | None:
    try:
        return parsedate_to_datetime(headers["date"]).astimezone(dt.UTC)
    except (KeyError, TypeError, ValueError):
        return None
