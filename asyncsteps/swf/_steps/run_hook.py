"""What happens around a workflow's `run`: its steps get a run of their own, and its markers are flushed."""

import functools
from collections.abc import Callable
from typing import Any

from simpleflow.exceptions import ExecutionBlocked

from asyncsteps.swf import _simpleflow as sf
from asyncsteps.swf._steps.entered import entering, is_entered
from asyncsteps.swf._steps.reasons import with_short_reason
from asyncsteps.swf._steps.run import start_run

_WRAPPED = "_asyncsteps_run_hook"


def around_run(run: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a workflow's `run`: pending markers are flushed before the execution completes or fails."""

    @functools.wraps(run)
    def run_steps(self: Any, *args: Any, **kwargs: Any) -> Any:
        if is_entered(self):
            return run(self, *args, **kwargs)  # called as super().run()
        with entering(self):
            steps = start_run(self)
            steps.markers.piggybacks = sf.runs_on_swf(self.executor)
            try:
                result = run(self, *args, **kwargs)
            except ExecutionBlocked:
                raise
            except Exception as error:
                steps.markers.flush()
                short = with_short_reason(error) if sf.runs_on_swf(self.executor) else error
                if short is error:
                    raise
                raise short from short.__cause__
            else:
                steps.markers.flush()
                steps.warn_of_unmatched()
                return result
            finally:
                steps.markers.piggybacks = False
                steps.over = True

    run_steps.__dict__[_WRAPPED] = True
    return run_steps


def is_wrapped(run: Any) -> bool:
    """Whether `around_run` made ``run``."""
    return bool(getattr(run, _WRAPPED, False))
