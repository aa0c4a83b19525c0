"""Fixtures for pytest: a moto server that stands in for AWS. ``pytest_plugins = ["asyncsteps.testing.moto"]``."""

from collections.abc import Iterator

import pytest

from asyncsteps.testing._moto_server import MotoServer, run_moto_server

__all__ = ["moto_aws", "moto_server"]


@pytest.fixture(scope="session")
def moto_server() -> Iterator[MotoServer]:
    """A moto server on a free port, one a session (a worker's, under pytest-xdist)."""
    with run_moto_server() as server:
        yield server


@pytest.fixture
def moto_aws(moto_server: MotoServer) -> Iterator[MotoServer]:
    """The server, empty, which boto3, aioboto3, simpleflow and asyncsteps use as AWS during the test."""
    moto_server.reset()
    with moto_server.as_aws():
        yield moto_server
