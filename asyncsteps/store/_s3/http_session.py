"""The HTTP session of our clients: it follows no redirects.

aiohttp would follow them on its own, unsigned, wherever they lead: a mark could end up in another server, and a
question be answered by it. Botocore knows the redirects of S3, and sends the request to the region that they name.
"""

import functools
from types import SimpleNamespace
from typing import Any


@functools.cache
def session_without_redirects() -> Any:
    """Return the class to give to ``AioConfig``; it is made when first needed, as loading aiohttp takes time."""
    from aiobotocore.httpsession import AIOHTTPSession

    class Session(AIOHTTPSession):
        async def _get_session(self, proxy_url: Any) -> Any:
            parent: Any = super()  # the type stubs lack the method
            session = await parent._get_session(proxy_url)  # noqa: SLF001 -- inherited
            return SimpleNamespace(request=functools.partial(session.request, allow_redirects=False))

    return Session
