"""A program for test_mark_crash: marks and withdrawals in a directory, killed before each of their system calls.

Prints a line of JSON: for each scenario the system calls of its undisturbed run, how many kills there were, and
what was wrong after any of them, in a fresh process or after a loss of power. With ``--trace``: all calls.
"""

import asyncio
import json
import os
import shutil
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from forking import Tell, forked
from power_loss import PowerLoss
from system_calls import Call, SystemCalls

from asyncsteps import DirectoryStore, Step, StepRun, StepStore
from asyncsteps.store._directory.filenames import encode_name
from asyncsteps.store._directory.files import TEMPORARY

LONG = "Long " * 90 + "a", "Long " * 90 + "b"  # 3 directories deep, in common
OLD, NEW = {"run_id": "old", "padding": "o" * 5_000}, {"run_id": "new", "padding": "n" * 9_000}
RESULT = {"rows": [1, 2, 3]}
Work = Callable[[StepStore], Awaitable[object]]
_ACKNOWLEDGED = ("marked", "withdrawn")


@dataclass(frozen=True, slots=True)
class Scenario:
    """One operation on a store.

    Attributes:
        names: The steps that it is about.
        before: Those of them that are marked first, with the record `OLD`.
        work: The operation.
        after: The records of the names when it has ended.
        is_repeated: Whether a fresh process that does the same makes good, durably, what a killed one left: a run
            does not, which takes a mark that it sees for one.
        at_once: The most marks under way at once.
    """

    names: tuple[str, ...]
    before: tuple[str, ...]
    work: Work
    after: Mapping[str, Any]
    is_repeated: bool = True
    at_once: int = 1


def _mark(name: str, *, first_wins: bool = False) -> Work:
    return lambda store: store.mark_done(name, NEW, first_wins=first_wins)


def _withdraw(*names: str) -> Work:
    return lambda store: store.withdraw(names)


def _together(*works: Work) -> Work:
    return lambda store: asyncio.gather(*(work(store) for work in works))


async def _one_beside_the_other(store: StepStore) -> None:
    """Mark ``b`` while the commit of ``a`` is under way."""
    first = asyncio.ensure_future(store.mark_done("a", NEW))
    await asyncio.sleep(0)  # the mark waits for a commit
    await asyncio.sleep(0)  # which has begun
    await asyncio.gather(first, _mark("b")(store))


async def _play_with_result(store: StepStore) -> None:
    async def work() -> dict[str, Any]:
        return RESULT

    async with StepRun(store, workflow_id="w", journal=False, run_id="new") as run:
        await run.submit(Step("a", work, save_result=True))


PLAYED: dict[str, Any] = {
    "run_id": "new",
    "workflow_id": "w",
    "version": None,
    "attempts": 1,
    "forced": False,
    "reasons": [],
    "result": RESULT,
}

_OF_THE_MOMENT = ("marked_at", "queued", "started", "ended", "activity", "host")
"""What a record tells that differs from run to run."""

SCENARIOS = {
    "new": Scenario(("a",), (), _mark("a"), {"a": NEW}),
    "overwrite": Scenario(("a",), ("a",), _mark("a"), {"a": NEW}),
    "first wins": Scenario(("a",), (), _mark("a", first_wins=True), {"a": NEW}),
    "first has won": Scenario(("a",), ("a",), _mark("a", first_wins=True), {"a": OLD}),
    "long name": Scenario(LONG[:1], (), _mark(LONG[0]), {LONG[0]: NEW}),
    "long name, first wins": Scenario(LONG[:1], (), _mark(LONG[0], first_wins=True), {LONG[0]: NEW}),
    "beside a long name": Scenario(LONG, LONG[1:], _mark(LONG[0]), {LONG[0]: NEW, LONG[1]: OLD}),
    "side by side": Scenario(
        ("a", "b", "c", LONG[0]),
        ("b",),
        _together(_mark("a"), _mark("b"), _mark("c", first_wins=True), _mark(LONG[0])),
        {"a": NEW, "b": NEW, "c": NEW, LONG[0]: NEW},
        at_once=4,
    ),
    "first wins, twice": Scenario(
        ("a", "b"),
        (),
        _together(_mark("a", first_wins=True), _mark("a", first_wins=True), _mark("b")),
        {"a": NEW, "b": NEW},
        at_once=3,
    ),
    "two commits": Scenario(("a", "b"), (), _one_beside_the_other, {"a": NEW, "b": NEW}),
    "withdrawal beside marks": Scenario(
        ("a", "b", "c"), ("b",), _together(_mark("a"), _withdraw("b"), _mark("c")), {"a": NEW, "c": NEW}, at_once=2
    ),
    "result": Scenario(("a",), (), _play_with_result, {"a": PLAYED}, is_repeated=False),
    "withdraw": Scenario(("a",), ("a",), _withdraw("a"), {}),
    "withdraw a long name": Scenario(LONG[:1], LONG[:1], _withdraw(LONG[0]), {}),
    "withdraw several": Scenario(("a", *LONG), ("a", *LONG), _withdraw(*LONG, "a"), {}),
}


class _TellingStore(DirectoryStore):
    """Tells, among the calls, what it acknowledges."""

    tell: Tell

    async def mark_done(self, name: str, record: Mapping[str, Any], *, first_wins: bool = False) -> bool:
        stored = await super().mark_done(name, record, first_wins=first_wins)
        self.tell(["marked", name])
        return stored

    async def withdraw(self, names: Iterable[str]) -> list[str]:
        names = list(names)
        withdrawn = await super().withdraw(names)
        for name in names:
            self.tell(["withdrawn", name])
        return withdrawn


def _on_store(
    path: Path, work: Callable[[DirectoryStore], Awaitable[object]], kind: type[DirectoryStore] = DirectoryStore
) -> Any:
    async def main() -> object:
        async with kind(path) as store:
            return await work(store)

    return asyncio.run(main())


def _traced(root: Path, path: Path, work: Work, tell: Tell, **options: Any) -> None:
    SystemCalls(root, tell, **options)
    _TellingStore.tell = staticmethod(tell)
    _on_store(path, work, _TellingStore)


async def _seen(names: tuple[str, ...], store: DirectoryStore) -> dict[str, Any]:
    """The records that a fresh process sees, asked for in every way, which must agree."""
    foreign: list[str] = []
    listed = await store.list_done(on_foreign=foreign.append)
    assert not foreign, f"unrecognised: {foreign}"
    assert list((await store.done_page()).names) == listed
    seen = {}
    for name in names:
        record = await store.read_done(name)
        assert (record is not None) == (name in listed) == await store.is_done(name), name
        if record is not None:
            seen[name] = {key: value for key, value in record.items() if key not in _OF_THE_MOMENT}
    assert sorted(seen) == listed
    return seen


async def _examine(scenario: Scenario, store: DirectoryStore) -> list[str]:
    """What is wrong in the eyes of a fresh process; it leaves nothing marked."""
    seen = await _seen(scenario.names, store)
    before = dict.fromkeys(scenario.before, OLD)
    problems = [
        f"{name[:9]} is neither as before nor as after: {seen.get(name)}"
        for name in scenario.names
        if seen.get(name) not in (before.get(name), scenario.after.get(name))
    ]
    left = list((store.path / TEMPORARY).glob("*"))
    if len(left) > scenario.at_once:
        problems.append(f"temporary files: {left}")
    for temporary in left:
        os.utime(temporary, (0, 0))  # of long ago
    for name in scenario.names:
        await store.mark_done(name, NEW, first_wins=True)
        assert await store.mark_done(name, NEW)
    assert await _seen(scenario.names, store) == dict.fromkeys(scenario.names, NEW)
    assert await store.withdraw(scenario.names) == sorted(scenario.names)
    assert await _seen(scenario.names, store) == {}
    if [each.name for each in store.path.iterdir()] != [TEMPORARY] or list((store.path / TEMPORARY).iterdir()):
        problems.append(f"left: {list(store.path.rglob('*'))}")
    return problems


def _examined(path: Path, scenario: Scenario) -> list[str]:
    """What is wrong with the store in a fresh process."""
    problems: list[str] = forked(lambda tell: tell(_on_store(path, partial(_examine, scenario)))).told[0]
    return problems


def _lost_power(root: Path, path: Path, scenario: Scenario, calls: list[Call], *, ended: bool) -> list[str]:
    """What is wrong if power is lost after the calls, the last operation of which has ended or not."""
    disk = PowerLoss(str(root))
    acknowledged: dict[str, bool] = {}
    for call in calls:
        if call[0] in _ACKNOWLEDGED:
            acknowledged[call[1]] = call[0] == "marked"
        else:
            disk.call(*call)
    problems = []
    for state in disk.states(ignored=TEMPORARY):
        if not all(state.values()):
            problems.append(f"without power a file is not whole: {state}")
        for name in scenario.names:
            there = str((path / encode_name(name)).relative_to(root)) in state
            if ended and there != (name in scenario.after):
                problems.append(f"without power {name[:9]} is {'there' if there else 'gone'} after the end")
            if there != acknowledged.get(name, there):
                problems.append(
                    f"without power {name[:9]} is {'there' if there else 'gone'}, which was acknowledged"
                )
    return problems


def _calls_of(root: Path, path: Path, work: Work, **options: Any) -> tuple[list[Call], bool]:
    """Do the work in a process of its own; give its system calls, and whether it was killed."""
    ended = forked(lambda tell: _traced(root, path, work, tell, **options))
    return ended.told, ended.signal is not None


async def _mark_before(scenario: Scenario, store: StepStore) -> None:
    for name in scenario.before:
        await store.mark_done(name, OLD)


def check(base: Path, scenario: Scenario) -> dict[str, Any]:
    """Kill the scenario before each of its system calls, writes also half-way; return what was seen."""
    undisturbed, _ = _at_point(base / "undisturbed", scenario)
    points = [(number, False) for number in range(len(undisturbed) + 1)]
    points += [(number, True) for number, call in enumerate(undisturbed) if call == "write"]
    problems: list[str] = []
    for number, torn in points:
        where = f"{number}{'-torn' if torn else ''}"
        _, found = _at_point(base / where, scenario, kill_at=number, torn=torn, ends=number == len(undisturbed))
        problems += [f"killed before call {where}: {each}" for each in found]
    return {"calls": undisturbed, "kills": len(points) - 1, "problems": problems}


def _at_point(root: Path, scenario: Scenario, *, ends: bool = True, **options: Any) -> tuple[list[str], list[str]]:
    """Do the scenario's work, killed or not; give the names of its calls, and what is wrong afterwards."""
    path = root / "not" / "yet" / "steps"
    root.mkdir()
    prior = _calls_of(root, path, partial(_mark_before, scenario))[0] if scenario.before else []
    prior = [call for call in prior if call[0] not in _ACKNOWLEDGED]  # the scenario may withdraw it
    calls, killed = _calls_of(root, path, scenario.work, **options)
    problems = [] if killed != ends else [f"killed: {killed}"]
    problems += _lost_power(root, path, scenario, prior + calls, ended=ends)
    if scenario.is_repeated:
        copied = shutil.copytree(root, root.with_name(f"{root.name}-again"))
        again, _ = _calls_of(copied, copied / path.relative_to(root), scenario.work)
        again = [[name, *(each.replace(str(copied), str(root)) for each in paths)] for name, *paths in again]
        problems += _lost_power(root, path, scenario, prior + calls + again, ended=True)
    names = [name for name, *_ in calls if name not in _ACKNOWLEDGED]
    return names, problems + _examined(path, scenario)


def trace(root: Path) -> list[Call]:
    """Do the work of all scenarios in this process; give the calls that the shim saw."""
    calls: list[Call] = []
    SystemCalls(root, calls.append)
    for number, scenario in enumerate(SCENARIOS.values()):
        path = root / str(number) / "steps"
        _on_store(path, partial(_mark_before, scenario))
        _on_store(path, scenario.work)
    return calls


def main(base: Path, titles: list[str]) -> dict[str, Any]:
    told = {}
    for title in titles or SCENARIOS:
        folder = base / title
        folder.mkdir()
        told[title] = check(folder, SCENARIOS[title])
    return told


if __name__ == "__main__":
    given = Path(sys.argv[1])
    sys.stdout.write(json.dumps(trace(given) if sys.argv[2:] == ["--trace"] else main(given, sys.argv[2:])))
