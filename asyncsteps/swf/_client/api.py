"""Calls to SWF in one domain: limited in number, answers checked, errors mapped."""

from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import anyio
from aiobotocore.config import AioConfig

from asyncsteps._aws.clients import open_client
from asyncsteps._aws.redaction import endpoint_refusal, redacted
from asyncsteps.swf._client.errors import SwfClientClosedError, SwfInputError, SwfUnreachableError, mapped


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientOptions:
    """How the client is created, or which one is used.

    Attributes:
        domain: The SWF domain.
        client: The caller's aiobotocore ``swf`` client, which is not closed.
        session: The caller's session, of aioboto3 or aiobotocore; None: a new one.
        endpoint_url: The endpoint; None: botocore's environment and configuration decide.
        region_name: The region; None: likewise.
        config: Configuration of botocore that overrides the client's own.
        concurrency: The most requests at once, and connections.

    Raises:
        SwfInputError: When options contradict each other, or one is out of range.
    """

    domain: str
    client: Any
    session: Any
    endpoint_url: str | None
    region_name: str | None
    config: Any
    concurrency: int

    def __post_init__(self) -> None:
        if not self.domain:
            raise SwfInputError(f"domain must be the name of an SWF domain, not {self.domain!r}")
        if self.concurrency < 1:
            raise SwfInputError(f"concurrency must be at least 1, not {self.concurrency!r}")
        if self.client is not None and (self.session, self.endpoint_url, self.region_name) != (None, None, None):
            raise SwfInputError("client= brings its session, endpoint and region: give none of these beside it")
        if refusal := endpoint_refusal(self.endpoint_url):
            raise SwfInputError(refusal)

    async def open(self, stack: AsyncExitStack) -> "SwfApi":
        """Return the API of the caller's client, or of a new one that ``stack`` closes.

        Raises:
            SwfInputError: When the endpoint, region or profile cannot be used.
        """
        client = self.client if self.client is not None else await self._open_client(stack)
        if refusal := endpoint_refusal(client.meta.endpoint_url):
            raise SwfInputError(refusal, domain=self.domain)
        return SwfApi(self.domain, client, concurrency=self.concurrency)

    async def _open_client(self, stack: AsyncExitStack) -> Any:
        config = AioConfig(
            max_pool_connections=self.concurrency,
            retries={"mode": "standard", "max_attempts": 5},
            connect_timeout=10,
            read_timeout=60,
        )
        if self.config is not None:
            config = config.merge(self.config)
        with mapped("opening the client", domain=self.domain, endpoint=self.endpoint_url):
            try:
                return await open_client(
                    "swf",
                    stack,
                    session=self.session,
                    endpoint_url=self.endpoint_url,
                    region_name=self.region_name,
                    config=config,
                )
            except ValueError as error:  # botocore refuses an endpoint that is not a URL
                raise SwfInputError(
                    f"endpoint_url {self.endpoint_url!r} is refused: {redacted(str(error))}"
                ) from error


class SwfApi:
    """Calls SWF for one domain.

    Args:
        domain: The SWF domain.
        client: An aiobotocore ``swf`` client.
        concurrency: The most calls at once.
    """

    def __init__(self, domain: str, client: Any, *, concurrency: int) -> None:
        self.domain = domain
        self.endpoint: str | None = client.meta.endpoint_url
        self._client = client
        self._limiter = anyio.CapacityLimiter(concurrency)
        self._closed = False

    def close(self) -> None:
        """Refuse all further calls."""
        self._closed = True

    def check_open(self) -> None:
        """Raise `SwfClientClosedError` when the client has been closed."""
        if self._closed:
            raise SwfClientClosedError(
                "the SWF client is closed: use it, and the executions that it gave, inside its `async with` block",
                domain=self.domain,
            )

    async def call(
        self,
        operation: str,
        *,
        expect: str | None = None,
        about: dict[str, str | None] | None = None,
        domain_as: str = "domain",
        **parameters: Any,
    ) -> Any:
        """Call an operation in the domain and return the answer.

        Args:
            operation: The name of botocore's method.
            expect: A key that every complete answer has.
            about: What errors name: ``workflow_id``, ``run_id``, ``workflow_type``.
            domain_as: The name of the parameter for the domain.
            **parameters: The operation's parameters, without the domain.

        Raises:
            SwfError: A subclass that tells the cause.
        """
        self.check_open()
        with mapped(operation, domain=self.domain, endpoint=self.endpoint, **(about or {})):
            # Acquired before the request is signed, because signatures expire.
            async with self._limiter:
                self.check_open()
                answer = await getattr(self._client, operation)(**{domain_as: self.domain}, **parameters)
        if expect is not None and expect not in answer:
            raise SwfUnreachableError(
                f"{operation}: the answer has no {expect!r}, so it is not SWF's; check the endpoint",
                domain=self.domain,
                endpoint=self.endpoint,
            )
        return answer
