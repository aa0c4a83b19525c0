"""Every exception that asyncsteps raises: what happened, and what to do about it."""


class AsyncstepsError(Exception):
    """Base of every exception of asyncsteps."""


def error_text(error: BaseException | None) -> str:
    """The type of an error and its text, as far as it has one: its ``__str__`` may fail as anything may."""
    kind = type(error).__name__
    try:
        text = "".join(str(error))  # a plain str, of whatever subclass of it
    except Exception:  # noqa: BLE001 - whatever it raises, the type still tells something
        text = ""
    return f"{kind}: {text}" if text else kind


class StepNameError(AsyncstepsError, ValueError):
    """A step name breaks a rule of step names.

    Attributes:
        name: The name, as given.
        rule: The rule that it breaks.
    """

    def __init__(self, name: object, rule: str) -> None:
        super().__init__(f"step name {name!r} is refused: {rule}")
        self.name = name
        self.rule = rule


class SelectorError(AsyncstepsError, ValueError):
    """A selector is neither ``*`` nor a well-formed step name, with or without ``=`` before it.

    Attributes:
        selector: The selector, as given.
        rule: The rule that it breaks.
    """

    def __init__(self, selector: object, rule: str) -> None:
        super().__init__(
            f"selector {selector!r} is refused: {rule}; "
            "a selector is '*', a step name, or an ancestor of one ('a.b' selects 'a.b' and all below it, '=a.b' "
            "that name alone)"
        )
        self.selector = selector
        self.rule = rule


class StepDefinitionError(AsyncstepsError, TypeError):
    """What was given as a step, activity, chain or group cannot be submitted."""


class RunClosedError(AsyncstepsError):
    """The run (or the workflow on it) has not been entered, or has ended."""


class RunExistsError(AsyncstepsError, ValueError):
    """A run is started while another one of its workflow id has not ended.

    Attributes:
        workflow_id: The workflow's id.
        run_id: The id of the run that has not ended.
        state: How it stands: ``running`` or ``queued``.
    """

    def __init__(self, workflow_id: str, run_id: str, state: str) -> None:
        super().__init__(
            f"workflow id {workflow_id!r} has a run that is {state}, {run_id}: follow it, cancel it, or wait for "
            "its end"
        )
        self.workflow_id = workflow_id
        self.run_id = run_id
        self.state = state


class RunNotEndedError(AsyncstepsError, RuntimeError):
    """The result of a run is read before it has ended.

    Attributes:
        run_id: The run's id.
    """

    def __init__(self, workflow_id: str, run_id: str) -> None:
        super().__init__(
            f"run {run_id} of {workflow_id} has not ended, so it has no result: await its wait() first"
        )
        self.run_id = run_id


class RunStopped(BaseException):
    """The run stops here, by its ``until``: what was submitted is not begun. The block of the run swallows it.

    Not an ``Exception``, like `asyncio.CancelledError`: code that handles errors is not to go on.

    Attributes:
        after: The step that the run stops after.
        run_id: The run's id.
    """

    def __init__(self, after: str, run_id: str) -> None:
        super().__init__(f"the run stops after step {after!r}, as its until= says")
        self.after = after
        self.run_id = run_id


class WorkflowIdError(AsyncstepsError, ValueError):
    """A workflow id is missing where the prefix of the done steps would be made from it."""


class ActivityTimeoutError(AsyncstepsError, TimeoutError):
    """An activity overran one of its timeouts.

    Attributes:
        activity: The activity's name.
        timeout: Which one, by its attribute's name, such as ``start_to_close_timeout``.
        seconds: Its length in seconds.
    """

    def __init__(self, activity: str, timeout: str, seconds: float) -> None:
        if timeout == "heartbeat_timeout":
            remedy = "call current_step().heartbeat() more often, or raise it"
        else:
            remedy = "raise it, or make the activity shorter"
        super().__init__(f"activity {activity} overran its {timeout} of {seconds:g} s; {remedy}")
        self.activity = activity
        self.timeout = timeout
        self.seconds = seconds


class MissingExtraError(AsyncstepsError, ImportError):
    """An optional part is used whose extra is not installed.

    Attributes:
        extra: The extra's name.
    """

    def __init__(self, extra: str, what: str) -> None:
        super().__init__(
            f"{what} needs the extra {extra!r}, which is not installed: pip install 'asyncsteps[{extra}]'"
        )
        self.extra = extra


class StoreError(AsyncstepsError):
    """A store could not do what it was asked.

    Attributes:
        url: The store's URL, where known.
        bucket: The S3 bucket, for an S3 store.
        key: The S3 key or the file, where one is concerned.
        endpoint: The endpoint that was asked, for an S3 store.
        step: The step's name, where one is concerned.
    """

    def __init__(
        self,
        message: str,
        *,
        url: str | None = None,
        bucket: str | None = None,
        key: str | None = None,
        endpoint: str | None = None,
        step: str | None = None,
    ) -> None:
        where = ", ".join(
            f"{label} {value!r}"
            for label, value in (
                ("step", step),
                ("bucket", bucket),
                ("key", key),
                ("endpoint", endpoint),
                ("store", url if bucket is None else None),
            )
            if value is not None
        )
        super().__init__(f"{message} ({where})" if where else message)
        self.url = url
        self.bucket = bucket
        self.key = key
        self.endpoint = endpoint
        self.step = step


class StoreURLError(StoreError, ValueError):
    """A store's URL, or a bucket, is not one that asyncsteps can open."""


class StoreOptionError(StoreError, ValueError):
    """An option of a store is not one that it takes."""


class StoreClosedError(StoreError):
    """The store is used before it is entered, after it is closed, or in a child of the process that entered it."""


class BucketNotFoundError(StoreError):
    """The bucket does not exist."""


class AccessDeniedError(StoreError):
    """The credentials are missing, wrong, or lack a permission."""


class EndpointUnreachableError(StoreError):
    """No connection to the endpoint, or the connection broke or timed out, retries included."""


class WrongRegionError(StoreError):
    """The bucket lives in another region than the one asked."""


class ClockSkewError(StoreError):
    """This machine's clock is too far from the server's for a signature to be accepted."""


class ThrottledError(StoreError):
    """The server asked to slow down, and kept asking through every retry."""


class ListingError(StoreError):
    """A listing could not be completed; no part of it is returned as if it were all."""


class RecordError(StoreError, ValueError):
    """A done record is no mapping of JSON values, or what is stored for a step cannot be read as one."""


FINAL_ERRORS = (
    AccessDeniedError,
    BucketNotFoundError,
    ClockSkewError,
    RecordError,
    StoreClosedError,
    WrongRegionError,
)
"""The errors of a store that another attempt does not help against."""


class StepFailedError(AsyncstepsError):
    """A step's activities failed; the cause is the ``__cause__``.

    Attributes:
        step: The step's name.
    """

    def __init__(self, step: str, message: str) -> None:
        super().__init__(f"step {step!r} failed: {message}")
        self.step = step


class RunningLoopError(AsyncstepsError, RuntimeError):
    """An async activity is to be executed by sync code in the thread of a running event loop."""

    def __init__(self) -> None:
        super().__init__(
            "an async activity was executed synchronously in the thread of a running event loop; await it or "
            "submit it there, or run the sync code in a worker thread (asyncio.to_thread)"
        )


class ActivityCancelledError(AsyncstepsError):
    """An activity raised ``CancelledError`` though nobody cancelled it: what it awaited had been cancelled.

    Attributes:
        activity: The activity's name.
    """

    def __init__(self, activity: str) -> None:
        super().__init__(
            f"activity {activity} ended with CancelledError, but its run was not cancelled: something that it "
            "awaited had been"
        )
        self.activity = activity


class StepResultError(AsyncstepsError, TypeError):
    """The result of a step with ``save_result=True`` is no JSON, so it cannot be saved.

    Attributes:
        step: The step's name.
    """

    def __init__(self, step: str, error: Exception) -> None:
        super().__init__(
            f"the result of step {step!r} cannot be saved as JSON ({error}); its activities must return JSON "
            "values (None, bool, int, finite float, str, lists, dicts), or the step be made without save_result"
        )
        self.step = step


class NoCurrentStepError(AsyncstepsError, LookupError):
    """`current_step` is called outside of activities."""

    def __init__(self) -> None:
        super().__init__(
            "there is no current step: call current_step() in an activity, or in what it calls or starts before "
            "it ends; a thread must get the activity's context, as asyncio.to_thread gives it"
        )


class StepNoteError(AsyncstepsError, ValueError):
    """A note for a done mark cannot be kept.

    Attributes:
        note: The note's name; several are joined by commas.
    """

    def __init__(self, where: str, note: str, rule: str) -> None:
        super().__init__(f"the note {note} of {where} is refused: {rule}")
        self.note = note


class StepDeadlockError(AsyncstepsError, RuntimeError):
    """A step is submitted from within its own activities, which would wait for themselves for ever.

    Attributes:
        steps: The names that wait for each other, the submitted one first.
    """

    def __init__(self, steps: tuple[str, ...]) -> None:
        super().__init__(
            f"step {steps[0]!r} would wait for itself for ever ({' -> '.join((*steps, steps[0]))}): a name "
            "that is submitted again waits for its first submission to end; submit it after that, or under "
            "another name"
        )
        self.steps = steps
