"""Helpers for testing programs that use asyncsteps, with any test runner. They need the extra ``testing``.

`asyncsteps.testing.moto` has fixtures for pytest.
"""

from asyncsteps.testing._moto_server import MotoServer, run_moto_server

__all__ = ["MotoServer", "run_moto_server"]
