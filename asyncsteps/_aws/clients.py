"""Opens clients of AWS services, and recognises those that callers bring."""

import functools
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ConfigParseError

from asyncsteps._aws.redaction import redacted

if TYPE_CHECKING:
    from aiobotocore.config import AioConfig
    from aiobotocore.session import AioSession


async def open_client(
    service: str,
    stack: AsyncExitStack,
    *,
    session: Any,
    endpoint_url: str | None,
    region_name: str | None,
    config: "AioConfig",
) -> Any:
    """Open a client that ``stack`` closes.

    Args:
        service: The service's name, such as ``s3``.
        stack: Closes the client.
        session: The caller's session, of aioboto3 or aiobotocore; None: a new one.
        endpoint_url: The server; None: botocore's environment and configuration decide.
        region_name: The region; None: likewise.
        config: The client's configuration.
    """
    session = session if session is not None else new_session()
    create = getattr(session, "client", None) or session.create_client  # aioboto3's name, or aiobotocore's
    try:
        return await stack.enter_async_context(
            create(service, endpoint_url=endpoint_url, region_name=region_name, config=config)
        )
    except ConfigParseError as error:
        error.__cause__ = error.__context__ = None  # they quote the line that cannot be read, credentials and all
        raise
    except ValueError as error:  # an endpoint of the environment, quoted
        raise ValueError(redacted(str(error))) from None


def is_client(value: object, operation: str) -> bool:
    """Whether ``value`` is an aiobotocore client that has ``operation``."""
    from aiobotocore.client import AioBaseClient

    return isinstance(value, AioBaseClient) and hasattr(value, operation)


def is_session(value: object) -> bool:
    """Whether ``value`` is a session of aioboto3 or of aiobotocore."""
    import aioboto3
    from aiobotocore.session import AioSession

    return isinstance(value, aioboto3.Session | AioSession)


def new_session() -> "AioSession":
    """Return a session whose service models are shared with those of others.

    It is one of aiobotocore: aioboto3's adds resources and transfers, which nothing here uses, and takes longer to
    load.
    """
    import aiobotocore.session

    session = aiobotocore.session.get_session()
    session.register_component("data_loader", _shared_loader())
    return session


@functools.cache
def _shared_loader() -> Any:
    """The loader of service models. It caches them, so a second client costs a tenth of the first."""
    import botocore.loaders

    return botocore.loaders.create_loader()
