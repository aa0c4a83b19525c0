"""What the tests of a program that uses asyncsteps need, with any test runner. It needs the extra ``testing``.

`asyncsteps.testing.moto` has fixtures for pytest.
"""

from asyncsteps.testing._moto_server import MotoServer, run_moto_server

__all__ = ["MotoServer", "run_moto_server"]
