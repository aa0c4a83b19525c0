"""What asyncsteps needs of simpleflow's inner workings: when a release moves it, these fail before users do."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import simpleflow
from simpleflow import futures
from simpleflow.exceptions import ExecutionBlocked
from simpleflow.swf import constants
from simpleflow.swf.executor import Executor
from simpleflow.swf.mapper.models.domain import Domain
from simpleflow.swf.task import MarkerTask
from simpleflow.swf.utils import DecisionsAndContext
from simpleflow.workflow import Workflow

from asyncsteps import AsyncstepsError
from asyncsteps.swf import _simpleflow as sf
from asyncsteps.swf._simpleflow import SUPPORTED, check_version

SOURCES = Path(sf.__file__).parent


@pytest.fixture
def executor() -> Executor:
    return Executor(Domain("test"), Workflow)


def test_the_installed_version_is_supported() -> None:
    assert simpleflow.__version__.startswith(f"{SUPPORTED}.")


def test_another_version_is_refused_with_the_remedy() -> None:
    for version in ("0.35.2", "0.37.0", "1.36.0"):
        with pytest.raises(AsyncstepsError, match=r"pip install 'simpleflow>=0.36,<0.37'"):
            check_version(version)
    check_version("0.36.9")
    check_version("unknown")


def test_the_private_attributes_are_where_they_were(executor: Executor) -> None:
    assert executor._append_timer is False
    assert isinstance(executor._decisions_and_context, DecisionsAndContext)
    assert executor._decisions_and_context.decisions == []
    assert isinstance(constants.MAX_DECISIONS, int)
    assert isinstance(constants.MAX_REQUEST_SIZE, int)
    assert set(futures.Future().__dict__) == {"_state", "_result", "_exception"}


def test_a_marker_that_piggybacks_sets_no_timer_and_is_kept_beside_its_twin(executor: Executor) -> None:
    for number in range(2):
        sf.piggyback(executor, MarkerTask("log.step", "x"), f"id-{number}")
    assert [it["decisionType"] for it in executor._decisions_and_context.decisions] == ["RecordMarker"] * 2
    assert executor._append_timer is False


def test_a_full_response_sets_the_timer(executor: Executor) -> None:
    for number in range(constants.MAX_DECISIONS - 2):
        sf.piggyback(executor, MarkerTask("log.step", "x"), f"id-{number}")
    with pytest.raises(ExecutionBlocked):
        sf.make_room(executor, decisions=2, chars=10)
    assert executor._append_timer is True
    executor._append_timer = False
    with pytest.raises(ExecutionBlocked):
        sf.piggyback(executor, MarkerTask("log.step", "x"), "last")
    assert executor._append_timer is True
    assert len(executor._decisions_and_context.decisions) == constants.MAX_DECISIONS - 1


def test_room_is_made_for_long_decisions_too(executor: Executor) -> None:
    sf.make_room(executor, decisions=2, chars=constants.MAX_REQUEST_SIZE)  # alone it must go out as it is
    sf.piggyback(executor, MarkerTask("log.step", "x"), "one")
    sf.make_room(executor, decisions=2, chars=10)
    with pytest.raises(ExecutionBlocked):
        sf.make_room(executor, decisions=2, chars=constants.MAX_REQUEST_SIZE)


def test_no_other_module_of_the_mixin_touches_them() -> None:
    private = re.compile(r"executor\._|_append_timer|_decisions_and_context|future\._|history\._[a-z]")
    for path in SOURCES.rglob("*.py"):
        if path.name in {"_simpleflow.py", "_bridge.py"}:
            continue
        code = re.sub(r"`[^`\n]*`", "", path.read_text())
        assert not private.search(code), path.name


def test_without_simpleflow_the_extra_is_named() -> None:
    code = """
import sys
sys.modules["simpleflow"] = None
import asyncsteps.swf
try:
    asyncsteps.swf.WorkflowStepMixin
except ImportError as error:
    print(type(error).__name__, error)
try:
    asyncsteps.swf.nothing
except AttributeError as error:
    print(type(error).__name__, error)
print(sorted(set(asyncsteps.swf.__all__) & set(dir(asyncsteps.swf))) == sorted(asyncsteps.swf.__all__))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    first, second, third = done.stdout.splitlines()
    assert first.startswith("MissingExtraError asyncsteps.swf.WorkflowStepMixin needs the extra 'swf'")
    assert second == "AttributeError module 'asyncsteps.swf' has no attribute 'nothing'"
    assert third == "True"


def test_every_public_name_is_there() -> None:
    import asyncsteps.swf

    for name in asyncsteps.swf.__all__:
        assert getattr(asyncsteps.swf, name) is not None
