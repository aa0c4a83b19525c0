"""Every exception: one base, what it says, what it carries, and what else it is."""

import inspect
from typing import Any

import pytest

from asyncsteps import _errors as errors
from asyncsteps.swf import _errors as swf_errors

SAMPLES: list[tuple[BaseException, tuple[type[BaseException], ...], str, dict[str, Any]]] = [
    (
        errors.StepNameError("a/b", "no slash"),
        (ValueError,),
        "step name 'a/b' is refused: no slash",
        {"name": "a/b", "rule": "no slash"},
    ),
    (
        errors.SelectorError("a.", "no empty segment"),
        (ValueError,),
        "selector 'a.' is refused: no empty segment; a selector is '*', a step name, or an ancestor of one",
        {"selector": "a.", "rule": "no empty segment"},
    ),
    (
        errors.ActivityTimeoutError("load", "start_to_close_timeout", 1.5),
        (TimeoutError,),
        "activity load overran its start_to_close_timeout of 1.5 s; raise it, or make the activity shorter",
        {"activity": "load", "timeout": "start_to_close_timeout", "seconds": 1.5},
    ),
    (
        errors.ActivityTimeoutError("load", "heartbeat_timeout", 10),
        (TimeoutError,),
        "activity load overran its heartbeat_timeout of 10 s; call current_step().heartbeat() more often",
        {"timeout": "heartbeat_timeout"},
    ),
    (
        errors.NoCurrentStepError(),
        (LookupError,),
        "there is no current step: call current_step() in an activity",
        {},
    ),
    (
        errors.StepNoteError("step 'a'", "rows", "its value is no JSON"),
        (ValueError,),
        "the note rows of step 'a' is refused: its value is no JSON",
        {"note": "rows"},
    ),
    (
        errors.RunExistsError("w", "r", "running"),
        (ValueError,),
        "workflow id 'w' has a run that is running, r: follow it, cancel it, or wait for its end",
        {"workflow_id": "w", "run_id": "r", "state": "running"},
    ),
    (errors.RunNotEndedError("w", "r"), (RuntimeError,), "run r of w has not ended", {"run_id": "r"}),
    (
        errors.MissingExtraError("cli", "the command"),
        (ImportError,),
        "the command needs the extra 'cli', which is not installed: pip install 'asyncsteps[cli]'",
        {"extra": "cli"},
    ),
    (
        errors.StepFailedError("a", "boom"),
        (),
        "step 'a' failed: boom",
        {"step": "a"},
    ),
    (
        errors.RunStopped("a", "r1"),
        (),
        "the run stops after step 'a', as its until= says",
        {"after": "a", "run_id": "r1"},
    ),
    (swf_errors.BridgeDeadlockError(), (RuntimeError,), "both would wait for ever", {}),
    (swf_errors.LoopThreadError(), (RuntimeError,), "in the thread of the event loop", {}),
    (swf_errors.SyncLoopClosedError(), (RuntimeError,), "is closed", {}),
    (swf_errors.RunSyncTimeoutError(2), (TimeoutError,), "not ended after 2 s, and cancelled", {"seconds": 2}),
    (errors.RunningLoopError(), (RuntimeError,), "asyncio.to_thread", {}),
    (errors.ActivityCancelledError("load"), (), "activity load ended with CancelledError", {"activity": "load"}),
    (
        errors.StepResultError("a", TypeError("set")),
        (TypeError,),
        "the result of step 'a' cannot be saved as JSON (set)",
        {"step": "a"},
    ),
    (
        errors.StepDeadlockError(("a", "b")),
        (RuntimeError,),
        "step 'a' would wait for itself for ever (a -> b -> a)",
        {"steps": ("a", "b")},
    ),
    (
        swf_errors.NotConvertibleError("<lambda>", "it has no name"),
        (errors.StepDefinitionError, TypeError),
        "<lambda> cannot be handed to simpleflow: it has no name",
        {"what": "<lambda>", "reason": "it has no name"},
    ),
]

ALL = [
    kind
    for module in (errors, swf_errors)
    for _, kind in inspect.getmembers(module, inspect.isclass)
    if kind.__module__ == module.__name__
]


@pytest.mark.parametrize(("error", "kinds", "says", "attributes"), SAMPLES, ids=lambda value: type(value).__name__)
def test_an_error_says_what_happened_and_carries_the_facts(
    error: BaseException, kinds: tuple[type[BaseException], ...], says: str, attributes: dict[str, Any]
) -> None:
    assert says in str(error)
    assert isinstance(error, (errors.AsyncstepsError, errors.RunStopped, *kinds))
    assert all(isinstance(error, kind) for kind in kinds)
    assert {name: getattr(error, name) for name in attributes} == attributes


def test_every_error_derives_from_the_base_and_is_documented() -> None:
    assert errors.AsyncstepsError in ALL
    for kind in ALL:
        assert issubclass(kind, errors.AsyncstepsError) or kind is errors.RunStopped  # which is no error
        assert kind.__doc__


def test_every_error_with_arguments_of_its_own_has_a_sample() -> None:
    general = {errors.AsyncstepsError, errors.StoreError}  # the first has one while tests watch for leaks
    own = {kind for kind in ALL if "__init__" in vars(kind)} - general
    assert own == {type(error) for error, *_ in SAMPLES}


def test_a_store_error_names_where() -> None:
    error = errors.StoreError(
        "it broke", url="s3://bucket/x", bucket="bucket", key="x/a", endpoint="http://localhost", step="a"
    )
    assert str(error) == "it broke (step 'a', bucket 'bucket', key 'x/a', endpoint 'http://localhost')"
    assert (error.url, error.bucket, error.key) == ("s3://bucket/x", "bucket", "x/a")
    assert (error.endpoint, error.step) == ("http://localhost", "a")
    assert str(errors.StoreError("it broke", url="memory:")) == "it broke (store 'memory:')"
    assert str(errors.StoreError("it broke")) == "it broke"


@pytest.mark.parametrize("kind", [errors.StoreURLError, errors.RecordError])
def test_what_was_given_wrong_is_a_value_error_too(kind: type[errors.StoreError]) -> None:
    assert issubclass(kind, ValueError)


class Untellable(Exception):  # noqa: N818 - its name is of no interest
    def __init__(self, text: object) -> None:
        super().__init__()
        self.text = text

    def __str__(self) -> str:
        if isinstance(self.text, str):
            return self.text
        raise RuntimeError


class Falsy(str):
    __slots__ = ()

    def __bool__(self) -> bool:
        raise RuntimeError

    def __format__(self, spec: str) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ValueError("no luck"), "ValueError: no luck"),
        (ValueError(), "ValueError"),
        (Untellable(None), "Untellable"),
        (Untellable(Falsy("odd")), "Untellable: odd"),
    ],
)
def test_any_error_can_be_told(error: Exception, told: str) -> None:
    assert errors.error_text(error) == told
