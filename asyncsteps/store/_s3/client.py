"""An S3 client made cheap for many small requests.

What a client of ours saves against a stock one:

- no ``Expect: 100-continue`` (a round trip a PUT), no body wrapped into a file, no checks of what is never sent;
- a fixed ``User-Agent`` (botocore composes it twice a request otherwise);
- checksums and parameter validation only where S3 requires them;
- endpoint rules evaluated once instead of once a key. They do not depend on the key, but it is among their
  parameters and so defeats botocore's cache. This needs a private attribute, and is left out where it is missing;
- a connection for each of the requests that may run side by side.

A client of the caller's is not changed in any way that the caller could notice.
"""

import contextlib
import logging
import os
import platform
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from botocore.exceptions import ClientError

from asyncsteps._aws import clients
from asyncsteps._aws.redaction import endpoint_refusal
from asyncsteps._errors import StoreOptionError
from asyncsteps.store._s3 import page_parser
from asyncsteps.store._s3.errors import is_throttling, is_unreachable
from asyncsteps.store._s3.options import ClientOptions

if TYPE_CHECKING:
    from aiobotocore.config import AioConfig

logger = logging.getLogger("asyncsteps.store")

_IRRELEVANT_TO_ENDPOINTS = ("Key", "Prefix", "CopySource")
_NEEDLESS = (
    ("before-call.s3", "add_expect_header"),
    ("before-parameter-build.s3.PutObject", "convert_body_to_file_like_object"),
    ("before-parameter-build.s3.PutObject", "sse_md5"),
    ("before-parameter-build.s3.PutObject", "validate_ascii_metadata"),
)
"""Handlers of botocore that do nothing for what this package sends, or what it can do without."""

_ATTEMPTS = 6
"""Attempts at a request that the server throttles or fails; the pauses between them are 31 s together at most."""

_ATTEMPTS_AT_REACHING = 4
"""Attempts at a request that does not reach the server; the pauses are 7 s at most: an operator is told soon."""

_ATTEMPTS_AT_REACHING_PAGES = 2

_CONNECT_TIMEOUT = 5.0
_READ_TIMEOUT = 30.0
_RETRY_EVENT = "needs-retry.s3.ListObjectsV2"
_RETRY_ID = "asyncsteps-listing-retries"
_ATTEMPT_EVENT = "request-created.s3"
_ATTEMPT_ID = "asyncsteps-attempts"
_retries_itself: ContextVar[bool] = ContextVar("asyncsteps_retries_itself", default=False)
_attempts: ContextVar["Attempts | None"] = ContextVar("asyncsteps_attempts", default=None)


@dataclass(slots=True)
class Attempts:
    """Counts the attempts at one request.

    Attributes:
        made: How many were made so far.
    """

    made: int = 0

    def __str__(self) -> str:
        return "1 attempt" if self.made == 1 else f"{self.made} attempts"


@contextlib.contextmanager
def counted_attempts() -> Iterator[Attempts]:
    """Count the attempts that a client of `open_client` makes inside the block."""
    counter = Attempts()
    reset = _attempts.set(counter)
    try:
        yield counter
    finally:
        _attempts.reset(reset)


def _count_attempt(**_: object) -> None:
    """Handle ``request-created``, which comes once an attempt."""
    counter = _attempts.get()
    if counter is not None:
        counter.made += 1


def page_timeout(seconds: float) -> float:
    """The timeout of a request inside `listing`, whose caller tries the first page twice."""
    return seconds / 2 if _retries_itself.get() else seconds


@contextlib.contextmanager
def listing(*, retries_itself: bool) -> Iterator[None]:
    """Inside the block listing pages are read by the fast parser.

    Args:
        retries_itself: Whether the caller tries pages again itself: then a throttled one fails at once, and one
            that does not come through after two attempts, where botocore would go on.
    """
    reset = _retries_itself.set(retries_itself)
    try:
        with page_parser.fast_pages():
            yield
    finally:
        _retries_itself.reset(reset)


async def open_client(options: ClientOptions, stack: contextlib.AsyncExitStack) -> Any:
    """The client to use: the caller's, or a tuned one of ours, which ``stack`` closes."""
    if options.client is not None:
        _check_endpoint(options.client)
        page_parser.install(options.client, own=False)
        _register(options.client)
        return options.client
    client = await clients.open_client(
        "s3",
        stack,
        session=options.session,
        endpoint_url=options.endpoint_url,
        region_name=options.region_name,
        config=_own_config(options),
    )
    _check_endpoint(client)
    tune(client)
    if _retries_are_ours(options):
        client.meta.events.register_first("needs-retry.s3", _give_up_the_unreachable)
    return client


def _check_endpoint(client: Any) -> None:
    """Check the endpoint that botocore's environment and configuration chose."""
    if refusal := endpoint_refusal(client.meta.endpoint_url):
        raise StoreOptionError(refusal)


def _register(client: Any) -> None:
    """Register the handlers that do nothing outside of the blocks of this module."""
    events = client.meta.events
    events.register_first(_RETRY_EVENT, _leave_to_listing, unique_id=_RETRY_ID)
    events.register(_ATTEMPT_EVENT, _count_attempt, unique_id=_ATTEMPT_ID)


def _retries_are_ours(options: ClientOptions) -> bool:
    """Whether nobody else says how often a request is tried."""
    return (
        options.attempts is None
        and "AWS_MAX_ATTEMPTS" not in os.environ
        and not getattr(options.config, "retries", None)
    )


def _own_config(options: ClientOptions) -> "AioConfig":
    import aiobotocore
    from aiobotocore.config import AioConfig

    # Not the mode "standard": its quota ends retries where a hundred requests fail at once, which loses marks.
    attempts = _ATTEMPTS if _retries_are_ours(options) else options.attempts
    own = AioConfig(
        connect_timeout=min(_CONNECT_TIMEOUT, options.seconds / 2),
        read_timeout=min(_READ_TIMEOUT, options.seconds / 2),
        max_pool_connections=options.concurrency,
        parameter_validation=False,
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        retries={"total_max_attempts": attempts} if attempts is not None else None,
        user_agent=f"asyncsteps aiobotocore/{aiobotocore.__version__} python/{platform.python_version()}",
    )
    if options.config is None:
        return own
    return own.merge(cast("AioConfig", options.config))  # a plain Config is as good: only its options are read


def tune(client: Any) -> None:
    """Make a client of ours cheap; see the module's docstring."""
    import botocore.handlers

    events = client.meta.events
    needless = [(event, getattr(botocore.handlers, handler, None)) for event, handler in _NEEDLESS]
    for event, handler in needless:
        if handler is not None:
            events.unregister(event, handler)
    _register(client)
    page_parser.install(client)
    parameters = getattr(getattr(client, "_ruleset_resolver", None), "_param_definitions", None)
    if any(handler is None for _, handler in needless) or not isinstance(parameters, dict):
        logger.debug("this botocore is unknown: requests cost more CPU time than they need to")
        return
    for name in _IRRELEVANT_TO_ENDPOINTS:
        parameters.pop(name, None)


def _give_up_the_unreachable(*, attempts: int, caught_exception: Exception | None = None, **_: object) -> None:
    """Handle ``needs-retry``: where nobody answers, end the retries earlier than where a server asks for time."""
    if caught_exception is not None and attempts >= _ATTEMPTS_AT_REACHING and is_unreachable(caught_exception):
        raise caught_exception


def _leave_to_listing(
    *, response: Any, operation: Any, attempts: int, caught_exception: Exception | None = None, **_: object
) -> None:
    """Handle ``needs-retry``: end botocore's retries early where the caller of `listing` goes on with its own."""
    if not _retries_itself.get():
        return
    error = caught_exception if response is None else ClientError(response[1], operation.name)
    if error is not None and (
        is_throttling(error) or (attempts >= _ATTEMPTS_AT_REACHING_PAGES and is_unreachable(error))
    ):
        raise error
