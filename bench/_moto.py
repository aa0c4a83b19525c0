"""A moto server that is seeded in its own process: 10,000 keys in half a second, and not a minute over HTTP.

``python -m bench._moto`` serves on a free port of the loopback interface until its stdin ends.
"""

import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from moto.s3.models import s3_backends
from werkzeug.serving import make_server

from bench._control import Seed, Settings, announce, control_reply
from bench._counters import Counters, operation_of
from bench._model_bucket import SEEDED_BODY


class MotoServer:
    """moto's own application, with a counter before it and the bench's control calls beside it."""

    def __init__(self) -> None:
        self.counters = Counters()
        self.settings = Settings()
        self._lock = threading.Lock()
        self._moto = DomainDispatcherApplication(create_backend_app)

    def seed(self, seed: Seed) -> None:
        """Replace a bucket by one that holds the seed's keys, in moto's own data."""
        backend = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
        if seed.bucket in backend.buckets:
            backend.get_bucket(seed.bucket).keys.clear()
        else:
            backend.create_bucket(seed.bucket, "us-east-1")
        for key in seed.all_keys():
            backend.put_object(seed.bucket, key, SEEDED_BODY, disable_notification=True)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request, as WSGI has it."""
        path = environ["PATH_INFO"]
        if path.startswith("/_model/"):
            with self._lock:
                body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
                status, text = control_reply(self, path, body)
            start_response(
                f"{status} -", [("Content-Type", "application/json"), ("Content-Length", str(len(text)))]
            )
            return [text]
        with self._lock:
            _, _, key = path.lstrip("/").partition("/")
            self.counters.begin(operation_of(environ["REQUEST_METHOD"], bool(key), environ["QUERY_STRING"]))
        try:
            return list(self._moto(environ, start_response))
        finally:
            with self._lock:
                self.counters.end()


class _QuietHandler(MotoRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing of each request."""


def _main() -> None:
    server = make_server("127.0.0.1", 0, MotoServer(), threaded=True, request_handler=_QuietHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    announce(server.server_port)
    sys.stdin.read()


if __name__ == "__main__":
    _main()
