"""Opens S3 clients tuned for many small requests.

Compared with a default client, ours saves:

- ``Expect: 100-continue`` (a round trip for each PUT), wrapping the body in a file, and needless parameter checks;
- composing ``User-Agent`` twice for each request;
- checksums and parameter validation that S3 does not require;
- evaluating the endpoint rules for each key. They do not depend on the key, but it is one of their parameters and
  defeats botocore's cache. The tuning uses a private attribute of botocore, and is skipped when that is missing;
- waiting for connections: there is one for each concurrent request.

A caller's client is changed in no way that the caller can notice.
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
from asyncsteps.store._budget import Attempts
from asyncsteps.store._s3 import page_parser
from asyncsteps.store._s3.concurrency import Watch
from asyncsteps.store._s3.errors import is_throttling, is_unreachable
from asyncsteps.store._s3.http_session import session_without_redirects
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
"""Handlers of botocore that the requests of this package do not need."""

_ATTEMPTS = 6
"""How often a throttled or failed request is tried; the pauses add up to at most 31 s."""

_ATTEMPTS_AT_REACHING = 4
"""How often a request that does not reach the server is tried; the pauses add up to at most 7 s."""

_ATTEMPTS_AT_REACHING_PAGES = 2

_CONNECT_TIMEOUT = 5.0
_READ_TIMEOUT = 30.0
_RETRY_EVENT = "needs-retry.s3.ListObjectsV2"
_RETRY_ID = "asyncsteps-listing-retries"
_FAILURE_ID = "asyncsteps-failures"
_REGION_ID = "asyncsteps-regions"
_ATTEMPT_EVENT = "request-created.s3"
_ATTEMPT_ID = "asyncsteps-attempts"
_SENT_ID = "asyncsteps-sent"
_retries_itself: ContextVar[bool] = ContextVar("asyncsteps_retries_itself", default=False)
_watched: ContextVar[tuple[Attempts, Watch] | None] = ContextVar("asyncsteps_attempts", default=None)
_sent: ContextVar["Sent | None"] = ContextVar("asyncsteps_sent", default=None)


@contextlib.contextmanager
def watched(attempts: Attempts, watch: Watch) -> Iterator[None]:
    """Count and watch the attempts that a client of `open_client` makes inside the block."""
    reset = _watched.set((attempts, watch))
    try:
        yield
    finally:
        _watched.reset(reset)


def count_attempt(**_: object) -> None:
    """Count an attempt; the handler of ``request-created``, which is emitted once for each."""
    if (found := _watched.get()) is not None:
        attempts, watch = found
        attempts.made += 1
        attempts.failure = None
        watch.begins()


def note_throttling() -> None:
    """Note that the server asks to slow down."""
    if (found := _watched.get()) is not None:
        found[1].throttled()


def _note_failure(
    *, response: Any, operation: Any, caught_exception: Exception | None = None, **_: object
) -> None:
    """Handle ``needs-retry``: note how an attempt failed, which the pause before the next would hide."""
    if (found := _watched.get()) is not None:
        failure = found[0].failure = _failure(response, operation, caught_exception)
        if failure is not None and is_throttling(failure):
            note_throttling()


def _stop_asking_for_the_region(*, response: Any, operation: Any, **_: object) -> None:
    """Handle ``needs-retry``: botocore would ask for the region of what it asks for a region, without end."""
    if response is None or "x-amz-bucket-region" in response[0].headers:
        return
    if 300 <= response[0].status_code < 400:  # noqa: PLR2004 -- HTTP's redirects
        raise ClientError(response[1], operation.name)


def _failure(response: Any, operation: Any, caught: Exception | None) -> Exception | None:
    """Return how an attempt failed, or None when it did not; a handler of ``needs-retry`` is told the rest."""
    if response is None:
        return caught
    http, parsed = response
    return ClientError(parsed, operation.name) if http.status_code >= 300 else None  # noqa: PLR2004 -- HTTP's


@dataclass(slots=True)
class Sent:
    """What botocore sent last.

    Attributes:
        request: The prepared request, or None.
    """

    request: Any = None


@contextlib.contextmanager
def observed(sent: Sent) -> Iterator[None]:
    """Observe what botocore sends inside the block; `observe` must be registered."""
    reset = _sent.set(sent)
    try:
        yield
    finally:
        _sent.reset(reset)


def observe(*, request: Any, **_: object) -> None:
    """Handle ``before-send``."""
    sent = _sent.get()
    if sent is not None:
        sent.request = request


@contextlib.contextmanager
def listing(*, retries_itself: bool) -> Iterator[None]:
    """Parse listing pages with the fast parser inside the block.

    Args:
        retries_itself: Whether the caller requests failed pages again. Botocore then does not retry a throttled
            request, and retries one that does not reach the server only once.
    """
    reset = _retries_itself.set(retries_itself)
    try:
        with page_parser.fast_pages():
            yield
    finally:
        _retries_itself.reset(reset)


async def open_client(options: ClientOptions, session: Any, stack: contextlib.AsyncExitStack) -> Any:
    """Return the caller's client, or open a tuned one from ``session`` that ``stack`` closes."""
    if options.client is not None:
        _check_endpoint(options.client)
        page_parser.install(options.client, own=False)
        _register(options.client)
        return options.client
    client = await clients.open_client(
        "s3",
        stack,
        session=session,
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
    """Check the endpoint that botocore took from its environment or configuration."""
    if refusal := endpoint_refusal(client.meta.endpoint_url):
        raise StoreOptionError(refusal)


def _register(client: Any) -> None:
    """Register the handlers that take effect only inside the context managers of this module."""
    events = client.meta.events
    events.register_first(_RETRY_EVENT, _leave_to_listing, unique_id=_RETRY_ID)
    events.register_first("needs-retry.s3", _note_failure, unique_id=_FAILURE_ID)
    events.register_first("needs-retry.s3.HeadBucket", _stop_asking_for_the_region, unique_id=_REGION_ID)
    events.register(_ATTEMPT_EVENT, count_attempt, unique_id=_ATTEMPT_ID)
    events.register_first("before-send.s3", observe, unique_id=_SENT_ID)


def _retries_are_ours(options: ClientOptions) -> bool:
    """Whether neither the caller nor the environment says how often a request is tried."""
    return (
        options.attempts is None
        and "AWS_MAX_ATTEMPTS" not in os.environ
        and not getattr(options.config, "retries", None)
    )


def _own_config(options: ClientOptions) -> "AioConfig":
    import aiobotocore
    from aiobotocore.config import AioConfig
    from aiobotocore.httpsession import AIOHTTPSession

    # Not the mode "standard", whose quota stops all retries when many requests fail at once, and so loses marks.
    attempts = _ATTEMPTS if _retries_are_ours(options) else options.attempts
    own = AioConfig(
        connect_timeout=min(_CONNECT_TIMEOUT, options.seconds / 2),
        read_timeout=min(_READ_TIMEOUT, options.seconds / 2),
        max_pool_connections=options.connections,
        parameter_validation=False,
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        retries={"total_max_attempts": attempts} if attempts is not None else None,
        user_agent=f"asyncsteps aiobotocore/{aiobotocore.__version__} python/{platform.python_version()}",
    )
    given: Any = options.config
    config: Any = (
        own if given is None else own.merge(cast("AioConfig", given))
    )  # it reads what a plain Config has too
    # Merging drops what an AioConfig has beside.
    session_class = getattr(given, "http_session_cls", AIOHTTPSession)
    config.connector_args = getattr(given, "connector_args", None)
    config.http_session_cls = session_without_redirects() if session_class is AIOHTTPSession else session_class
    return cast("AioConfig", config)


def tune(client: Any) -> None:
    """Tune a client of ours, as the module's docstring describes."""
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
    """Handle ``needs-retry``: stop earlier when the server cannot be reached than when it throttles."""
    if caught_exception is not None and attempts >= _ATTEMPTS_AT_REACHING and is_unreachable(caught_exception):
        raise caught_exception


def _leave_to_listing(
    *, response: Any, operation: Any, attempts: int, caught_exception: Exception | None = None, **_: object
) -> None:
    """Handle ``needs-retry``: stop early when the caller of `listing` retries itself."""
    if not _retries_itself.get():
        return
    error = _failure(response, operation, caught_exception)
    if error is not None and (
        is_throttling(error) or (attempts >= _ATTEMPTS_AT_REACHING_PAGES and is_unreachable(error))
    ):
        raise error
