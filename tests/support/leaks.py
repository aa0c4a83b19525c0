"""A pytest plugin that fails a test in which a planted credential comes out.

The tests' AWS credentials are the planted ones. Watched are: log records, those of asyncsteps from DEBUG on; what
tests, the command and other processes write; the text, repr and attributes of our errors; markers; records.
"""

import functools
import json
import logging
import os
import subprocess
import traceback
from collections.abc import Callable, Generator
from typing import Any

import pytest

from asyncsteps import AsyncstepsError
from asyncsteps._run.markers import MarkerLog

_SIGN = f"q7{'planted'.upper()}z9"
"""In every planted credential; never written as one word, for tracebacks show lines of source."""

ACCESS_KEY = f"AKIA{_SIGN}"
SECRET_KEY = f"wJalr/{_SIGN}+bPx/Key"
SESSION_TOKEN = f"IQoJ//{_SIGN}=="
PASSWORD = f"pass{_SIGN}word"

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": ACCESS_KEY,
    "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
    "AWS_SESSION_TOKEN": SESSION_TOKEN,
}
"""The environment of every test."""


class Watch(logging.Handler):
    """Notes where a planted credential came out.

    Attributes:
        found: Where, each a phrase.
    """

    def __init__(self) -> None:
        super().__init__(logging.NOTSET)
        self.found: list[str] = []
        self._restore: list[Callable[[], None]] = []

    def see(self, where: str, text: object) -> None:
        """Note ``where`` if a credential is in the text."""
        if _SIGN.lower() in str(text).lower():
            self.found.append(where)

    def emit(self, record: logging.LogRecord) -> None:
        """See a log record, with its traceback."""
        self.see(f"a log record of {record.name}", record.getMessage())
        if record.exc_info:
            self.see(f"a traceback logged by {record.name}", "".join(traceback.format_exception(*record.exc_info)))

    def install(self) -> None:
        """Watch the logs, our errors and markers, and what processes write, until `uninstall`."""
        for name in ("", "asyncsteps"):  # the command's tests take the handlers of the root away
            logger = logging.getLogger(name)
            logger.addHandler(self)
            if name:
                self._restore.append(functools.partial(logger.setLevel, logger.level))
                logger.setLevel(logging.DEBUG)
            self._restore.append(functools.partial(logger.removeHandler, self))
        self._patch(AsyncstepsError, "__init__", self._error)
        self._patch(MarkerLog, "_add", self._marker)
        self._patch(subprocess.Popen, "communicate", self._process)
        self._patch(pytest.CaptureFixture, "readouterr", self._captured)

    def uninstall(self) -> None:
        """Watch no more."""
        while self._restore:
            self._restore.pop()()

    def _patch(self, owner: Any, name: str, see: Callable[..., None]) -> None:
        """Have ``see`` called with the arguments and the result of a method."""
        inherited, plain = name not in vars(owner), getattr(owner, name)

        @functools.wraps(plain)
        def watched(*args: Any, **kwargs: Any) -> Any:
            result = plain(*args, **kwargs)
            see(*args, result=result)
            return result

        setattr(owner, name, watched)
        self._restore.append(
            functools.partial(delattr, owner, name)
            if inherited
            else functools.partial(setattr, owner, name, plain)
        )

    def _error(self, error: AsyncstepsError, *_: object, result: None) -> None:
        self.see(f"the text of a {type(error).__name__}", error.args)

    def _marker(self, _: MarkerLog, name: str, details: Any, *__: object, result: Any) -> None:
        self.see(f"a marker {name}", json.dumps(details, default=repr))

    def _process(self, process: Any, *_: object, result: Any) -> None:
        for stream, text in zip(("stdout", "stderr"), result, strict=True):
            text = text.decode(errors="replace") if isinstance(text, bytes) else text  # noqa: PLW2901 -- as text
            self.see(f"the {stream} of a process", text)

    def _captured(self, _: Any, *, result: Any) -> None:
        self.see("captured output", f"{result.out} {result.err}")


watch = Watch()
"""What every test of this process is watched by."""


def pytest_configure() -> None:
    """Watch from the first import of a test on."""
    watch.install()


def pytest_unconfigure() -> None:
    """Leave everything as it was."""
    watch.uninstall()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail the phase of a test in which a credential came out; the failure says where, and not what."""
    report = yield
    for title, text in report.sections:
        watch.see(title.lower(), text)
    if call.excinfo is not None and report.longrepr is not None:
        watch.see("the error of the test", f"{call.excinfo.value} {call.excinfo.value!r}")
    if watch.found:
        places = ", ".join(dict.fromkeys(watch.found))
        watch.found.clear()
        report.outcome = "failed"
        report.longrepr = f"a planted credential is in {places} ({os.environ.get('PYTEST_CURRENT_TEST')})"
        report.sections.clear()
        item._report_sections.clear()
    return report
