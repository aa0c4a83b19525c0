"""The options of an S3 client, checked when a store is opened."""

from dataclasses import dataclass
from typing import Any

from botocore.config import Config

from asyncsteps._aws import clients
from asyncsteps._aws.redaction import endpoint_refusal
from asyncsteps._errors import StoreOptionError

_CONCURRENCY = 256
_TIMEOUT = 60.0
"""The default seconds that an operation may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientOptions:
    """How a client is created, or which one is used.

    Attributes:
        session: The caller's session, of aioboto3 or aiobotocore; None: a new one.
        client: The caller's S3 client, which is not closed.
        endpoint_url: The server; None: botocore's environment and configuration decide.
        region_name: The region; None: likewise.
        concurrency: The most requests at once, and connections; None: 256, or what the process may open.
        config: Botocore configuration, which overrides ours.
        timeout: Seconds that an operation may take, with all its requests, retries and pauses; None: 60.
        attempts: How often a request is tried; None: what ``config`` or the environment says, else 6 times, or 4
            while the server cannot be reached.
        transport: ``botocore`` sends every request through botocore; None: those that must go through it.
    """

    session: Any = None
    client: Any = None
    endpoint_url: str | None = None
    region_name: str | None = None
    concurrency: int | None = None
    config: Config | None = None
    timeout: float | None = None
    attempts: int | None = None
    transport: str | None = None

    def __post_init__(self) -> None:
        self._check_client()
        if self.session is not None and not clients.is_session(self.session):
            raise StoreOptionError(f"session={self.session!r} is no session of aioboto3 or aiobotocore")
        if self.config is not None and not isinstance(self.config, Config):
            raise StoreOptionError(f"config={self.config!r} is not a botocore.config.Config")
        if refusal := endpoint_refusal(self.endpoint_url):
            raise StoreOptionError(refusal)
        if self.endpoint_url is not None and not str(self.endpoint_url).startswith(("http://", "https://")):
            raise StoreOptionError(
                f"endpoint_url={self.endpoint_url!r} is no URL: it starts with 'http://' or 'https://'"
            )
        if not _is_positive(self.timeout, int | float):
            raise StoreOptionError(f"timeout={self.timeout!r} is no positive number of seconds")
        if not _is_positive(self.attempts, int):
            raise StoreOptionError(f"attempts={self.attempts!r} is no positive number of attempts")
        if self.transport not in {None, "botocore"}:
            raise StoreOptionError(f"transport={self.transport!r} is unknown: 'botocore', or leave it out")
        if self.attempts is not None and getattr(self.config, "retries", None):
            raise StoreOptionError("config has its own retries: pass either them or attempts, not both")

    def _check_client(self) -> None:
        if self.client is None:
            return
        given = [
            name
            for name in ("session", "endpoint_url", "region_name", "config", "attempts")
            if getattr(self, name) is not None
        ]
        if given:
            raise StoreOptionError(f"a client has its own {', '.join(given)}: pass either, not both")
        if not clients.is_client(self.client, "list_objects_v2"):
            raise StoreOptionError(
                f"client={self.client!r} is not an aioboto3 S3 client, what 'session.client(\"s3\")' gives "
                "inside its block"
            )

    @property
    def seconds(self) -> float:
        """The timeout of an operation, in seconds."""
        return _TIMEOUT if self.timeout is None else float(self.timeout)

    @property
    def connections(self) -> int:
        """How many connections a client of ours has at most."""
        return _most_connections() if self.concurrency is None else self.concurrency

    @property
    def usable_concurrency(self) -> int:
        """The concurrency, limited to the connections of a caller's client."""
        if self.client is None:
            return self.connections
        return min(self.connections, int(self.client.meta.config.max_pool_connections))


def _most_connections() -> int:
    """The default concurrency; half of the files that the process may have open are left to others."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return _CONCURRENCY
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _CONCURRENCY if files == resource.RLIM_INFINITY else max(1, min(_CONCURRENCY, files // 2))


def _is_positive(value: Any, kind: Any) -> bool:
    """Whether ``value`` is None or a positive number of ``kind``."""
    return value is None or (isinstance(value, kind) and not isinstance(value, bool) and value > 0)
