"""Serve the example.

    python examples/service --store ./service-store --port 8000

The store's URL may also be s3://bucket/prefix; each workflow id has its own steps below it. SIGTERM and SIGINT end
the runs, of which whoever follows gets the end, and then the service.
"""

import argparse
import logging
from types import FrameType

import uvicorn
from app import make_app
from starlette.applications import Starlette

from asyncsteps import open_store

DRAIN = 0.5
"""Seconds that runs have to end by themselves when the service stops."""


class Server(uvicorn.Server):
    """Ends the runs upon a signal: uvicorn lets followers end before the application does."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Handle a signal."""
        app = self.config.app
        if isinstance(app, Starlette) and hasattr(app.state, "stop"):
            app.state.stop()
        super().handle_exit(sig, frame)


def main() -> None:
    parser = argparse.ArgumentParser(description="Serve workflows.")
    parser.add_argument(
        "--store", default="./service-store", help="the URL under which each workflow has its store"
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000, help="0: any that is free")
    parser.add_argument("--max-running", type=int, default=4)
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    base = given.store.rstrip("/")
    app = make_app(
        lambda workflow_id: open_store(f"{base}/{workflow_id}"),
        max_running=given.max_running,
        drain_timeout=DRAIN,
    )
    # Whoever follows no run, and holds a connection all the same, is cut off.
    config = uvicorn.Config(app, host=given.host, port=given.port, timeout_graceful_shutdown=2, access_log=False)
    Server(config).run()


if __name__ == "__main__":
    main()
