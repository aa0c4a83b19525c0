"""Maps the exceptions of botocore, aiobotocore and aiohttp to store errors."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, TypedDict

from botocore import exceptions as boto
from botocore.parsers import ResponseParserError

from asyncsteps._aws.codes import (
    BAD_PROFILE,
    CREDENTIALS_CODES,
    DENIED_CODES,
    NO_CREDENTIALS,
    THROTTLED_CODES,
    UNREACHABLE,
    error_code,
    error_message,
    error_status,
)
from asyncsteps._aws.redaction import redacted
from asyncsteps._errors import (
    AccessDeniedError,
    BucketNotFoundError,
    ClockSkewError,
    EndpointUnreachableError,
    StoreError,
    StoreURLError,
    ThrottledError,
    WrongRegionError,
)

_BUCKET_CODES = {"NoSuchBucket"}
_CLOCK_CODES = {"RequestTimeTooSkewed", "RequestExpired", "RequestInTheFuture"}
_REGION_CODES = {
    "AuthorizationHeaderMalformed",
    "IllegalLocationConstraintException",
    "PermanentRedirect",
    "TemporaryRedirect",
}
_UNREACHABLE_CODES = {"RequestTimeout", "502", "504"}
_SKEW = timedelta(minutes=15)
_CREDENTIALS_REMEDY = (
    "check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, the profile (AWS_PROFILE), or the role"
)


_ALWAYS_IN_REPLIES = {
    "get_object": "ETag",
    "head_object": "ETag",
    "list_objects_v2": "IsTruncated",
    "put_object": "ETag",
}
_NO_CONTENT = 204


class NoReplyOfS3Error(Exception):
    """A whole answer of success arrived, and lacks what each of S3's has."""


class ErrorContext(TypedDict, total=False):
    """The arguments with which `StoreError` tells where it happened."""

    url: str
    bucket: str
    key: str | None
    endpoint: str | None
    step: str | None


def check_reply(operation: str, reply: Mapping[str, Any]) -> None:
    """Check that a reply of success is one of S3's, and not of a proxy or a login page.

    Raises:
        NoReplyOfS3Error: When it lacks what S3's always have.
    """
    expected = _ALWAYS_IN_REPLIES.get(operation)
    if expected is not None and expected not in reply:
        raise NoReplyOfS3Error(f"has no {expected}")
    status = reply["ResponseMetadata"]["HTTPStatusCode"]
    if operation == "delete_object" and status != _NO_CONTENT:
        raise NoReplyOfS3Error(f"has the status {status} and not {_NO_CONTENT}")


def is_throttling(error: BaseException) -> bool:
    """Whether the server asks to slow down."""
    return error_code(error) in THROTTLED_CODES or (
        isinstance(error, boto.ClientError) and error_status(error) in {429, 503}
    )


def is_unreachable(error: BaseException) -> bool:
    """Whether no reply of the server itself arrived."""
    return isinstance(error, UNREACHABLE) or error_code(error) in _UNREACHABLE_CODES


def store_error(error: Exception, operation: str, *, context: ErrorContext, attempts: object) -> StoreError:  # noqa: PLR0911 -- a list of causes
    """Return the error to raise, ``from error``, for an exception of botocore, aiobotocore or aiohttp.

    Args:
        error: The exception.
        operation: The operation that failed, such as ``put_object``.
        context: Where it failed.
        attempts: How often it was tried, in words.
    """
    if isinstance(error, StoreError):
        return error
    if isinstance(error, NoReplyOfS3Error | ResponseParserError):
        # The parser's own text quotes all of the body.
        wrong = str(error) if isinstance(error, NoReplyOfS3Error) else "cannot be parsed"
        return EndpointUnreachableError(
            f"the answer to {operation} {wrong} after {attempts}, so it is none of S3's: check the endpoint and "
            "what lies before it, such as a proxy or a login page",
            **context,
        )
    if isinstance(error, boto.ClientError):
        return _of_reply(error, operation, context, attempts)
    if isinstance(error, (*NO_CREDENTIALS, *BAD_PROFILE)):
        return AccessDeniedError(f"there are no usable AWS credentials: {error}; {_CREDENTIALS_REMEDY}", **context)
    if is_unreachable(error):
        return EndpointUnreachableError(
            f"no answer to {operation} from the endpoint after {attempts}: {_text(error)}; check the endpoint "
            "(endpoint_url, AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL), the network, and that the server is up",
            **context,
        )
    if isinstance(error, boto.BaseEndpointResolverError | boto.InvalidRegionError):
        return WrongRegionError(
            f"no usable region: {error}; pass region_name or set AWS_DEFAULT_REGION", **context
        )
    if isinstance(error, boto.ParamValidationError | boto.EndpointProviderError | ValueError):
        said = redacted(str(error))
        return StoreURLError(f"the client refuses the bucket, the endpoint or an option: {said}", **context)
    return StoreError(f"{operation} failed: {_text(error)}", **context)


def _of_reply(error: boto.ClientError, operation: str, context: ErrorContext, attempts: object) -> StoreError:
    code = error_code(error) or ""
    said = f"{operation} was answered {code}"
    message = error_message(error)
    if message and not code.isdigit():
        said += f" ({message})"
    skew = _clock_skew(error)
    region = _headers(error).get("x-amz-bucket-region") or error.response.get("Error", {}).get("Region")
    result: StoreError
    if code in _BUCKET_CODES or (operation == "head_bucket" and code == "404"):
        result = BucketNotFoundError(
            "there is no such bucket: create it, or check its name and the endpoint that is asked", **context
        )
    elif code in _CLOCK_CODES or (skew is not None and error_status(error) == 403):  # noqa: PLR2004 -- Forbidden
        how_far = f", by {abs(skew).total_seconds():.0f} s," if skew is not None else ""
        result = ClockSkewError(
            f"{said}: this machine's clock is too far from the server's{how_far} for a signature to be accepted; "
            "set the clock, with NTP for instance",
            **context,
        )
    elif code in _REGION_CODES or (code in {"301", "307", "400"} and region):
        where = f"in {region!r}" if region else "in another region"
        result = WrongRegionError(f"{said}: the bucket is {where}; pass that region_name", **context)
    elif (denial := _denial(code, operation)) is not None:
        result = AccessDeniedError(f"{said}: {denial}", **context)
    elif is_throttling(error):
        result = ThrottledError(
            f"{said} after {attempts}: the server asks to slow down; lower the concurrency or try later", **context
        )
    elif is_unreachable(error) or 300 <= error_status(error) < 400:  # noqa: PLR2004 -- HTTP's redirects
        target = _headers(error).get("location")
        where = f", a redirect to {redacted(str(target))!r}, which is not followed" if target is not None else ""
        result = EndpointUnreachableError(
            f"{said} after {attempts}{where}: check the endpoint, the network and what lies before the server",
            **context,
        )
    elif error_status(error) >= 500:  # noqa: PLR2004 -- HTTP's server errors
        result = StoreError(f"{said} after {attempts}: the server failed; try again later", **context)
    else:
        result = StoreError(said, **context)
    return result


def _denial(code: str, operation: str) -> str | None:
    """Return why the credentials do not suffice, or None when they are not at fault."""
    if code in CREDENTIALS_CODES:
        return f"the credentials are not accepted; {_CREDENTIALS_REMEDY}"
    if code in DENIED_CODES:
        return _permission(operation)
    if code == "400" and operation in {"head_object", "head_bucket"}:
        return (
            "S3 tells no reason to a HEAD request; mostly the credentials are not accepted, or no longer; "
            f"{_CREDENTIALS_REMEDY}"
        )
    return None


def _permission(operation: str) -> str:
    needed = {
        "put_object": "s3:PutObject (and kms:GenerateDataKey and kms:Decrypt on the key, where KMS encrypts)",
        "get_object": (
            "s3:GetObject, and s3:ListBucket on the bucket (and kms:Decrypt on the key, where KMS encrypts)"
        ),
        "head_object": (
            "s3:GetObject, and s3:ListBucket on the bucket (without it S3 answers 403 for a missing key too); "
            "or they are no longer accepted, which S3 does not tell to a HEAD request"
        ),
        "list_objects_v2": "s3:ListBucket on the bucket",
        "delete_object": "s3:DeleteObject",
        "delete_objects": "s3:DeleteObject",
    }
    return f"the credentials need the permission {needed[operation]}" if operation in needed else "not permitted"


def _clock_skew(error: boto.ClientError) -> timedelta | None:
    """Return the offset of the server's clock when it is large enough to refuse a signature, else None."""
    try:
        skew = parsedate_to_datetime(_headers(error)["date"]) - datetime.now(UTC)
    except (KeyError, ValueError, TypeError):
        return None
    return skew if abs(skew) > _SKEW else None


def _headers(error: boto.ClientError) -> Mapping[str, Any]:
    metadata: Mapping[str, Any] = error.response.get("ResponseMetadata", {})
    headers: Mapping[str, Any] = metadata.get("HTTPHeaders", {})
    return headers


def _text(error: Exception) -> str:
    said = redacted(str(error))
    return f"{type(error).__name__}: {said}" if said else type(error).__name__
