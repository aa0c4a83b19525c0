"""The model server's HTTP: parsing requests and formatting replies. No I/O."""

from http import HTTPStatus
from urllib.parse import parse_qsl, unquote

from bench._counters import operation_of


class Request:
    """A request whose head has arrived.

    Attributes:
        method: The HTTP method.
        target: Path and query, as sent.
        name: The bucket's name.
        key: The object's key; None for a request to the bucket.
        length: The size of the body in bytes.
        waits: Whether the client waits for ``100 Continue`` before it sends the body.
        body: The body, once it has arrived.
    """

    __slots__ = ("_lower", "body", "key", "length", "method", "name", "query_text", "target", "waits")

    def __init__(self, head: bytes) -> None:
        line, _, rest = head.partition(b"\r\n")
        method, target, _ = line.decode("latin-1").split(" ")
        self._lower = b"\r\n" + rest.lower() + b"\r\n"
        self.method, self.target = method, target
        path, _, self.query_text = target.partition("?")
        self.name, slash, key = path.lstrip("/").partition("/")
        self.key = unquote(key, errors="strict") if slash and key else None
        self.length = int(self.header(b"content-length") or 0)
        self.waits = self.header(b"expect") == b"100-continue"
        self.body = b""

    def header(self, name: bytes) -> bytes:
        """Return a header's value in lower case, or nothing when it is absent."""
        start = self._lower.find(b"\r\n" + name + b":")
        if start < 0:
            return b""
        start += len(name) + 3
        return self._lower[start : self._lower.index(b"\r\n", start)].strip()

    @property
    def query(self) -> dict[str, str]:
        """The query's parameters."""
        return dict(parse_qsl(self.query_text, keep_blank_values=True))

    @property
    def is_control(self) -> bool:
        """Whether it comes from the bench and not from a client of S3."""
        return self.target.startswith("/_model/")

    @property
    def operation(self) -> str:
        """The name of its counter."""
        return operation_of(self.method, self.key is not None, self.query_text)


def reply(status: int, body: bytes = b"", headers: bytes = b"") -> bytes:
    """Format a reply; ``body`` is XML."""
    kind = b"Content-Type: application/xml\r\n" if body else b""
    length = b"" if status == 204 else b"Content-Length: %d\r\n" % len(body)
    phrase = HTTPStatus(status).phrase.encode()
    return b"HTTP/1.1 %d %s\r\nServer: model\r\n%s%s%s\r\n%s" % (status, phrase, kind, headers, length, body)
