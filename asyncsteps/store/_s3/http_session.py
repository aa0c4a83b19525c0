"""The HTTP session of our clients: it follows no redirects.

aiohttp would follow them on its own, unsigned, wherever they lead: a mark could end up in another server, and a
question be answered by it. Botocore knows the redirects of S3, and sends the request to the region that they name.
"""

import contextlib
import functools
from types import SimpleNamespace
from typing import Any


@functools.cache
def session_without_redirects() -> Any:
    """Return the class to give to ``AioConfig``; it is made when first needed, as loading aiohttp takes time."""
    from aiobotocore.httpsession import AIOHTTPSession
    from aiohttp import ClientSession, DummyCookieJar

    class Session(AIOHTTPSession):
        async def _get_session(self, proxy_url: Any) -> Any:
            session = await self._whole_session(proxy_url)
            return SimpleNamespace(request=functools.partial(session.request, allow_redirects=False))

        async def _whole_session(self, proxy_url: Any) -> Any:
            parent: Any = super()  # the type stubs lack the method
            return await parent._get_session(proxy_url)  # noqa: SLF001 -- inherited

        async def lean_session(self, proxy_url: Any) -> ClientSession:
            """Return a session over the same connections that adds nothing to a request, and keeps no cookies."""
            whole = await self._whole_session(proxy_url)
            stack: contextlib.AsyncExitStack = getattr(self, "_exit_stack")  # noqa: B009 -- not in the type stubs
            return await stack.enter_async_context(
                ClientSession(
                    connector=whole.connector,
                    connector_owner=False,
                    timeout=whole.timeout,
                    cookie_jar=DummyCookieJar(),
                    auto_decompress=False,
                    skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
                )
            )

    return Session
