"""Helpers for testing programs that use asyncsteps, with any test runner; a moto server needs the extra ``testing``.

Names are imported at their first use: the plugin for pytest, `asyncsteps.testing.plugin`, is loaded in every session.
"""

import importlib
import typing

if typing.TYPE_CHECKING:
    from asyncsteps.testing._moto_server import MotoServer, run_moto_server
    from asyncsteps.testing._virtual_time import VirtualClock, VirtualTimeLoop, run_virtually, virtual_time

__all__ = [
    "MotoServer",
    "VirtualClock",
    "VirtualTimeLoop",
    "run_moto_server",
    "run_virtually",
    "virtual_time",
]

_MODULES = {
    "MotoServer": "_moto_server",
    "VirtualClock": "_virtual_time",
    "VirtualTimeLoop": "_virtual_time",
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
