"""Calls to SWF in one domain: limited, checked, their errors mapped."""

from typing import Any

import anyio

from asyncsteps.swf._client.errors import SwfClientClosedError, SwfUnreachableError, mapped


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
