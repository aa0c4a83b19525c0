"""Stores of done steps: in memory, in a local directory, on S3."""

from typing import TYPE_CHECKING

from asyncsteps._plan.names import check_step_name
from asyncsteps.store._directory.store import DirectoryStore
from asyncsteps.store._memory import MemoryStore
from asyncsteps.store._open import open_bucket, open_store
from asyncsteps.store._protocol import DonePage, ListingProgress, StepStore

if TYPE_CHECKING:
    from asyncsteps.store._s3.store import S3Store

__all__ = [
    "DirectoryStore",
    "DonePage",
    "ListingProgress",
    "MemoryStore",
    "S3Store",
    "StepStore",
    "check_step_name",
    "open_bucket",
    "open_store",
]


def __getattr__(name: str) -> object:
    """Import the S3 store, and half a second of its libraries, when it is first asked for."""
    if name == "S3Store":
        from asyncsteps.store._s3.store import S3Store

        return S3Store
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
