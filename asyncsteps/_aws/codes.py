"""Error codes of AWS services and exceptions of botocore, by what they mean."""

import aiohttp
from botocore import exceptions as boto

THROTTLED_CODES = frozenset(
    {
        "BandwidthLimitExceeded",
        "RequestLimitExceeded",
        "RequestThrottled",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequests",
        "TooManyRequestsException",
    }
)
"""The server asks to slow down."""

DENIED_CODES = frozenset({"AccessDenied", "AccessDeniedException", "AccountProblem", "AllAccessDisabled", "403"})
"""The credentials lack a permission."""

CREDENTIALS_CODES = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSecurity",
        "InvalidSignatureException",
        "InvalidToken",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "NotSignedUp",
        "OptInRequired",
        "SignatureDoesNotMatch",
        "TokenRefreshRequired",
        "UnrecognizedClientException",
    }
)
"""The credentials are not accepted."""

NO_CREDENTIALS = (
    boto.CredentialRetrievalError,
    boto.MetadataRetrievalError,
    boto.NoAuthTokenError,
    boto.NoCredentialsError,
    boto.PartialCredentialsError,
    boto.SSOError,
    boto.TokenRetrievalError,
    boto.UnknownCredentialError,
)
"""Raised when no credentials can be found."""

BAD_PROFILE = (boto.ConfigParseError, boto.InvalidConfigError, boto.ProfileNotFound)
"""Raised when the chosen profile is missing or malformed."""

UNREACHABLE = (
    boto.ConnectionError,
    boto.HTTPClientError,
    boto.IncompleteReadError,
    boto.InvalidProxiesConfigError,
    aiohttp.ClientError,
    OSError,
)
"""Raised when no complete reply arrived; `TimeoutError` is an `OSError`."""


def error_code(error: BaseException | None) -> str | None:
    """Return the code of a service's error, or its HTTP status when the reply has none; None for other errors."""
    if not isinstance(error, boto.ClientError):
        return None
    code = error.response.get("Error", {}).get("Code")
    return str(code) if code else str(error_status(error))


def error_message(error: boto.ClientError) -> str:
    """Return the message of a service's error, empty when it has none."""
    return str(error.response.get("Error", {}).get("Message") or "")


def error_status(error: boto.ClientError) -> int:
    """Return the HTTP status of a service's error, 0 when it has none."""
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return status if isinstance(status, int) else 0
