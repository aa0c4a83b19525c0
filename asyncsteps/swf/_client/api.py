"""Calls to SWF in one domain: limited, checked, their errors mapped."""

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
    """How the botocore client is made, or which one is used.

    Attributes:
        domain: The SWF domain.
        client: The caller's aiobotocore ``swf`` client; then nothing is made and nothing is closed.
        session: The caller's ``aioboto3.Session``; None: a new one.
        endpoint_url: The endpoint; None: botocore's environment and configuration decide.
        region_name: The region; None: likewise.
        concurrency: The most requests under way at once, and connections.

    Raises:
        SwfInputError: When they contradict each other, or one is out of its range.
    """

    domain: str
    client: Any
    session: Any
    endpoint_url: str | None
    region_name: str | None
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
        """Open the client, closed by ``stack`` unless it is the caller's.

        Raises:
            SwfInputError: When endpoint, region or profile cannot be used.
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
            except ValueError as error:  # botocore's, for an endpoint that is no URL
                raise SwfInputError(
                    f"endpoint_url {self.endpoint_url!r} is refused: {redacted(str(error))}"
                ) from error


class SwfApi:
    """Calls to SWF for one domain, so many at once.

    Args:
        domain: The SWF domain.
        client: An aiobotocore ``swf`` client.
        concurrency: The most calls under way at once.
    """

    def __init__(self, domain: str, client: Any, *, concurrency: int) -> None:
        self.domain = domain
        self.endpoint: str | None = client.meta.endpoint_url
        self._client = client
        self._limiter = anyio.CapacityLimiter(concurrency)
        self._closed = False

    def close(self) -> None:
        """Refuse every further call."""
        self._closed = True

    def check_open(self) -> None:
        """Raise `SwfClientClosedError` when the client's block has ended."""
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
        **parameters: Any,
    ) -> Any:
        """Call an operation in the domain, and return the answer.

        Args:
            operation: The operation, as botocore's method is named.
            expect: A key that a whole answer has.
            about: What the error names: ``workflow_id``, ``run_id``, ``workflow_type``.
            **parameters: The operation's parameters, without the domain.
        """
        self.check_open()
        with mapped(operation, domain=self.domain, endpoint=self.endpoint, **(about or {})):
            # Taken before the call, so that no request is signed long before it is sent.
            async with self._limiter:
                self.check_open()
                answer = await getattr(self._client, operation)(domain=self.domain, **parameters)
        if expect is not None and expect not in answer:
            raise SwfUnreachableError(
                f"{operation}: the answer has no {expect!r}, so it is not SWF's; check the endpoint",
                domain=self.domain,
                endpoint=self.endpoint,
            )
        return answer
