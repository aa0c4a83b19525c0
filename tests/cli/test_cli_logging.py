"""How the command writes what is logged: in place of the target's handlers, which it gives back."""

import io
import logging

import pytest

from asyncsteps.cli._logging import logs_to


@pytest.fixture
def target(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What the handler writes that a target has set on the root logger."""
    stream = io.StringIO()
    monkeypatch.setattr(logging.root, "handlers", [logging.StreamHandler(stream)])
    monkeypatch.setattr(logging.root, "level", logging.WARNING)
    return stream


def test_a_level_takes_the_place_of_the_targets_handlers_and_gives_them_back(target: io.StringIO) -> None:
    said: list[str] = []
    log, before = logging.getLogger("flow"), logging.root.handlers[:]
    with logs_to(said.append, level="info", with_traceback=False):
        added = logging.NullHandler()
        logging.root.addHandler(added)
        log.info("told")
        log.debug("too low")
    assert [line.partition(" ")[2] for line in said] == ["info flow: told"]
    assert target.getvalue() == ""
    assert logging.root.handlers == [*before, added]
    assert logging.root.level == logging.WARNING
    log.warning("after")
    assert target.getvalue() == "after\n"


def test_without_a_level_a_target_that_has_set_up_logging_is_left_alone(target: io.StringIO) -> None:
    said: list[str] = []
    with logs_to(said.append, level=None, with_traceback=False):
        logging.getLogger("flow").warning("its own")
    assert (said, target.getvalue()) == ([], "its own\n")


def test_libraries_are_heard_from_warnings_on_with_tracebacks_where_asked_for(target: io.StringIO) -> None:
    said: list[str] = []
    with logs_to(said.append, level="debug", with_traceback=True):
        logging.getLogger("botocore.auth").debug("Authorization")
        try:
            int("no luck")
        except ValueError:
            logging.getLogger("asyncsteps").exception("it\nfailed")
    assert len(said) == 1
    assert said[0].startswith("asyncsteps: error: it failed\nTraceback")
    assert said[0].endswith("'no luck'")
    assert target.getvalue() == ""
