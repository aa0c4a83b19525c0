"""The command check: which keys of a store are not steps, by asyncsteps' own rule or by simpleflow's."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

import asyncsteps
from asyncsteps.cli import _output
from asyncsteps.cli._exit import ExitCode, UsageError, run_async
from asyncsteps.cli._options import COMMON, Common

StepNames = Literal["strict", "simpleflow"]


@dataclass(frozen=True, slots=True)
class _Unrecognised:
    """A key that is not a step.

    Attributes:
        key: The key, without the prefix.
        rule: The rule that it breaks.
        simpleflow: Whether it is a step for a workflow with ``step_names = "simpleflow"``.
    """

    key: str
    rule: str
    simpleflow: bool

    def __str__(self) -> str:
        taken = '; step_names = "simpleflow" takes it' if self.simpleflow else ""
        return f"{self.key!r}: {self.rule}{taken}"


def check(store: str, /, *, step_names: StepNames = "strict", common: Common = COMMON) -> int:
    """List the keys of a store that are not steps, and why; the exit code is 1 if there are any. Writes nothing.

    Args:
        store: The URL of the store.
        step_names: The rule of names: asyncsteps' own, or what a workflow with step_names = "simpleflow" accepts.
        common: Options of every command.
    """

    async def main() -> int:
        found: list[_Unrecognised] = []
        steps = unrecognised = taken = 0

        def see(key: str) -> None:
            nonlocal steps, unrecognised, taken
            one = _examine(key, opened)
            if one.simpleflow and step_names == "simpleflow":
                steps += 1
                return
            unrecognised += 1
            taken += one.simpleflow
            if common.json:
                found.append(one)
            else:
                _output.emit(str(one))

        async with asyncsteps.open_store(store, endpoint_url=common.endpoint_url) as opened:
            if step_names == "simpleflow" and _is_whole_bucket(opened):
                raise UsageError(
                    "--step-names simpleflow needs a prefix, as such a workflow does: s3://bucket/prefix"
                )
            async for names in opened.iter_done(on_foreign=see):
                steps += len(names)
        if not steps and not unrecognised:
            _output.warning(f"nothing is stored under {opened.url}; a store is a complete prefix")
        if common.json:
            keys = [asdict(one) for one in sorted(found, key=lambda one: one.key)]
            document = {"store": opened.url, "step_names": step_names, "steps": steps, "unrecognised": keys}
            _output.emit_json(document)
        else:
            more = f', {taken:,} of which step_names = "simpleflow" takes' if taken else ""
            told = f"{_output.count(steps, 'done step')}, {_output.count(unrecognised, 'unrecognised key')}"
            _output.emit(f"{opened.url}: {told}{more}")
        return ExitCode.FAILED if unrecognised else ExitCode.OK

    return run_async(main)


def _examine(key: str, store: asyncsteps.StepStore) -> _Unrecognised:
    from asyncsteps.store import check_step_name

    if isinstance(store, asyncsteps.DirectoryStore):  # its files have encoded names
        return _Unrecognised(key, "no step is stored in such a file", simpleflow=False)
    try:
        check_step_name(key, by="simpleflow")
    except asyncsteps.StepNameError as error:
        return _Unrecognised(key, error.rule, simpleflow=False)
    try:
        check_step_name(key)
    except asyncsteps.StepNameError as error:
        return _Unrecognised(key, error.rule, simpleflow=not _is_whole_bucket(store))
    return _Unrecognised(key, "the store does not recognise it", simpleflow=False)


def _is_whole_bucket(store: asyncsteps.StepStore) -> bool:
    """Whether it is a bucket without a prefix, which ``step_names = "simpleflow"`` does not take."""
    return getattr(store, "prefix", None) == ""
