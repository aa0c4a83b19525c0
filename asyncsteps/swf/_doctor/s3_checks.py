"""What the credentials may do under a prefix: each permission is tried on an object of our own."""

import datetime as dt
import json
import socket
import uuid
from collections.abc import Awaitable, Callable
from email.utils import parsedate_to_datetime
from typing import Any

import anyio
from botocore.exceptions import ClientError

from asyncsteps._aws.codes import DENIED_CODES, error_code
from asyncsteps._aws.redaction import redacted
from asyncsteps.store._s3.errors import ErrorContext, store_error
from asyncsteps.swf._doctor.check import Check, Verdict, failed, ok, skipped, warning
from asyncsteps.swf._doctor.clock import check_clock

PROBES = ".asyncsteps-doctor/"
"""Where probes lie below a prefix. No step name has a slash, so no probe is taken for a step, except by a workflow
with ``step_names = "simpleflow"`` while it lies there."""

_CLEAN_UP_SECONDS = 20.0
_PRECONDITION_FAILED = {"412", "PreconditionFailed"}


class Prober:
    """Tries what the credentials may do under one prefix.

    Args:
        client: An aiobotocore ``s3`` client.
        bucket: The bucket.
        prefix: The complete key prefix, empty or with a slash at its end.
        area: What the checks belong to.
        needed_for: What the permissions on this prefix are needed for.
    """

    def __init__(self, client: Any, bucket: str, prefix: str, *, area: str, needed_for: str) -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = prefix
        self._area = area
        self._needed_for = needed_for
        self._key = f"{prefix}{PROBES}{uuid.uuid4().hex}"
        self._object = {"Bucket": bucket, "Key": self._key}
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
            checks.append(await self._tried("PUT", "put_object", "s3:PutObject", self._put))
            for name, operation, permission, attempt in (
                ("GET", "get_object", "s3:GetObject", self._get),
                ("conditional PUT", "put_object", "s3:PutObject", self._put_again),
            ):
                if self._is_put:
                    checks.append(await self._tried(name, operation, permission, attempt))
                else:
                    checks.append(skipped(self._area, name, "there is no object to try it on, because PUT failed"))
        finally:
            deleted = failed(self._area, "DELETE", f"no answer within {_CLEAN_UP_SECONDS:g} s")
            with anyio.CancelScope(shield=True), anyio.move_on_after(_CLEAN_UP_SECONDS):
                deleted = await self._tried("DELETE", "delete_object", "s3:DeleteObject", self._delete)
        if self._is_put and deleted.verdict is not Verdict.OK:
            left = f"the probe is left: remove s3://{self._bucket}/{self._key}"
            deleted = failed(self._area, "DELETE", f"{deleted.detail}; {left}")
        return [*checks, deleted]

    async def _list(self) -> list[Check]:
        what = {"Bucket": self._bucket, "MaxKeys": 1}
        try:
            answer = await self._client.list_objects_v2(**what, Prefix=self._prefix)
            left = await self._client.list_objects_v2(**what, Prefix=self._prefix + PROBES)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
            denied = error_code(error) in DENIED_CODES
            name = "LIST" if denied else "bucket"
            return [failed(self._area, name, self._why("list_objects_v2", "s3:ListBucket on the bucket", error))]
        found = "there are objects" if answer.get("KeyCount") else "there are no objects yet"
        headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        checks = [
            ok(self._area, "LIST", f"allowed on s3://{self._bucket}/{self._prefix}; {found}"),
            check_clock(self._area, _date(headers), dt.datetime.now(dt.UTC)),
        ]
        if left.get("KeyCount"):
            where = f"s3://{self._bucket}/{self._prefix}{PROBES}"
            checks.append(
                warning(self._area, "probes", f"a doctor that was killed, or still runs, left some: see {where}")
            )
        return checks

    async def _tried(
        self, name: str, operation: str, permission: str, attempt: Callable[[], Awaitable[Check]]
    ) -> Check:
        try:
            return await attempt()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
            return failed(self._area, name, self._why(operation, permission, error))

    def _why(self, operation: str, permission: str, error: Exception) -> str:
        if error_code(error) in DENIED_CODES:
            where = f"s3://{self._bucket}/{self._prefix}*"
            return f"denied: allow {permission} ({where}), needed for {self._needed_for}"
        context = ErrorContext(url=f"s3://{self._bucket}/{self._prefix}", bucket=self._bucket)
        return redacted(str(store_error(error, operation, context=context, attempts="2 attempts")))

    async def _put(self) -> Check:
        self._is_put = True  # also where the reply is lost
        try:
            await self._client.put_object(**self._object, Body=self._body, ContentType="application/json")
        except ClientError:
            self._is_put = False
            raise
        return ok(self._area, "PUT", "allowed")

    async def _get(self) -> Check:
        answer = await self._client.get_object(**self._object)
        if await answer["Body"].read() == self._body:
            return ok(self._area, "GET", "allowed")
        return failed(
            self._area, "GET", "an object that was just written came back changed: check the endpoint and proxies"
        )

    async def _put_again(self) -> Check:
        try:
            await self._client.put_object(
                **self._object, Body=self._body, ContentType="application/json", IfNoneMatch="*"
            )
        except ClientError as error:
            if error_code(error) not in _PRECONDITION_FAILED:
                raise
            return ok(self._area, "conditional PUT", "honoured: of two first marks one wins")
        return warning(
            self._area,
            "conditional PUT",
            "the server ignores If-None-Match: of two marks that are to be the first, either may stay",
        )

    async def _delete(self) -> Check:
        await self._client.delete_object(**self._object)
        return ok(self._area, "DELETE", "allowed")


def _date(headers: Any) -> dt.datetime | None:
    try:
        return parsedate_to_datetime(headers["date"]).astimezone(dt.UTC)
    except (KeyError, TypeError, ValueError):
        return None
