"""Which versions are installed here."""

import importlib.metadata
import platform

from asyncsteps._errors import AsyncstepsError
from asyncsteps.swf._doctor.check import Check, failed, ok
from asyncsteps.swf._logging import import_simpleflow

_INSTALLED = ("asyncsteps", "botocore", "aioboto3")


def check_versions() -> list[Check]:
    """Tell the versions that matter; simpleflow's must be one that asyncsteps was made for."""
    return [
        ok("versions", "python", platform.python_version()),
        *(ok("versions", name, importlib.metadata.version(name)) for name in _INSTALLED),
        _simpleflow(),
    ]


def _simpleflow() -> Check:
    try:
        version = importlib.metadata.version("simpleflow")
    except importlib.metadata.PackageNotFoundError:
        return failed("versions", "simpleflow", "not installed here: pip install 'asyncsteps[swf]'")
    try:
        import_simpleflow()
        from asyncsteps.swf import _simpleflow  # noqa: F401 - checks the version
    except AsyncstepsError as error:
        return failed("versions", "simpleflow", str(error))
    return ok("versions", "simpleflow", version)
