"""The example service as a process of its own, on a free port."""

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

SERVICE = Path(__file__).parents[2] / "examples" / "service"


@dataclass
class Service:
    process: subprocess.Popen[str]
    url: str

    def stop(self) -> float:
        """Send SIGTERM, wait for the end, and return how long it took."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
        return time.monotonic() - began


@contextmanager
def service(folder: Path) -> Iterator[Service]:
    command = [sys.executable, str(SERVICE), "--store", str(folder), "--port", "0", "--max-running", "2"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            for line in process.stderr:
                if found := re.search(r"running on (http://\S+)", line):
                    yield Service(process, found[1])
                    break
            else:
                pytest.fail("the service did not start")
        finally:
            process.kill()
            process.stderr.close()
