"""Helpers for testing programs that use asyncsteps, with any test runner; docs/testing.md shows them.

Names are imported at their first use: pytest loads `asyncsteps.testing.plugin`, with its fixtures, every time.
"""

import importlib
import typing

if typing.TYPE_CHECKING:
    from asyncsteps.testing._crash_points import CrashPoint, SimulatedCrash
    from asyncsteps.testing._crashes import CrashedRun, crash_and_rerun, every_crash
    from asyncsteps.testing._decisions import StepAssertions, StepDecision
    from asyncsteps.testing._faulty_store import FaultyStore, StoreCall, StoreHold
    from asyncsteps.testing._moto_server import MotoServer, run_moto_server
    from asyncsteps.testing._recorded import PlannedRun, RecordedRun, RunRecord, planned, play, recorded_run
    from asyncsteps.testing._virtual_time import VirtualClock, VirtualTimeLoop, run_virtually, virtual_time

__all__ = [
    "CrashPoint",
    "CrashedRun",
    "FaultyStore",
    "MotoServer",
    "PlannedRun",
    "RecordedRun",
    "RunRecord",
    "SimulatedCrash",
    "StepAssertions",
    "StepDecision",
    "StoreCall",
    "StoreHold",
    "VirtualClock",
    "VirtualTimeLoop",
    "crash_and_rerun",
    "every_crash",
    "planned",
    "play",
    "recorded_run",
    "run_moto_server",
    "run_virtually",
    "virtual_time",
]

_MODULES = {
    "CrashPoint": "_crash_points",
    "CrashedRun": "_crashes",
    "FaultyStore": "_faulty_store",
    "MotoServer": "_moto_server",
    "PlannedRun": "_recorded",
    "RecordedRun": "_recorded",
    "RunRecord": "_recorded",
    "SimulatedCrash": "_crash_points",
    "StepAssertions": "_decisions",
    "StepDecision": "_decisions",
    "StoreCall": "_faulty_store",
    "StoreHold": "_faulty_store",
    "VirtualClock": "_virtual_time",
    "VirtualTimeLoop": "_virtual_time",
    "crash_and_rerun": "_crashes",
    "every_crash": "_crashes",
    "planned": "_recorded",
    "play": "_recorded",
    "recorded_run": "_recorded",
    "run_moto_server": "_moto_server",
    "run_virtually": "_virtual_time",
    "virtual_time": "_virtual_time",
}

if not typing.TYPE_CHECKING:  # for type checkers, there is no name but those above

    def __getattr__(name: str) -> object:
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
