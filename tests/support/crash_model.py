"""What logs of killed processes say about done marks: which must be there, which may, and what broke the rules."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crash_program import Program

from asyncsteps._plan.names import matches

Line = Mapping[str, Any]


@dataclass(slots=True)
class _Known:
    """What is known of one step.

    Attributes:
        must: Its mark was acknowledged, and nothing has demanded its withdrawal.
        may: Its mark may be in the store.
        run: The run that has played it last.
        ended: The activities of that run that have ended and not begun again.
    """

    must: bool = False
    may: bool = False
    run: str = ""
    ended: set[int] = field(default_factory=set)


class CrashModel:
    """Follows the log of all processes of a history, line by line.

    Args:
        program: What they play.
        forced: The selectors that each run, by its id, was given.

    Attributes:
        problems: What broke the rules.
    """

    def __init__(self, program: Program, forced: Mapping[str, list[str]]) -> None:
        self.problems: list[str] = []
        self._program = program
        self._forced = forced
        self._known = {name: _Known() for name in program.specs}
        self._dependents = {name: program.dependents(name) for name in program.specs}
        self._scheduled: set[tuple[str, str]] = set()

    def follow(self, log: Path) -> None:
        """Follow a log from its begin to its end."""
        for text in log.read_text().splitlines() if log.exists() else ():
            line = json.loads(text)
            known = self._known[line["step"]]
            match line["what"]:
                case "begin":
                    self._begin(line, known)
                case "end":
                    known.ended.add(line["activity"])
                    known.may = len(known.ended) == len(self._program.specs[line["step"]].activities)
                case "result":
                    self._expect(line["result"] == self._result(line["step"]), line, "another result")
                case "marker":
                    self._marker(line, known)

    def _begin(self, line: Line, known: _Known) -> None:
        self._expect(not known.must, line, "played though its mark stands")
        if known.run != line["run"]:
            known.run, known.ended = line["run"], set()
        known.ended.discard(line["activity"])
        known.may = False  # its own mark was withdrawn before, and those of its dependents
        for name in self._dependents[line["step"]]:
            self._known[name].must = self._known[name].may = False

    def _marker(self, line: Line, known: _Known) -> None:
        name, run = line["step"], line["run"]
        match line["status"]:
            case "scheduled":
                self._expect(line["forced"] or not known.must, line, "played again")
                self._expect(not line["forced"] or self._is_forced(name, run), line, "forced by nobody")
                self._scheduled.add((run, name))
                known.must = False
                for each in self._dependents[name]:
                    self._known[each].must = False
            case "completed":
                self._expect(known.may and known.run == run, line, "completed before its activities")
                known.must = True
            case "skipped":
                self._expect(known.may, line, "skipped though not done, or stale")
                played = known.must and known.run == run  # and is not forced again
                self._expect(played or not self._is_forced(name, run), line, "skipped though forced")
                known.must = known.may  # what the run before was killed ahead of withdrawing stands

    def _is_forced(self, name: str, run: str) -> bool:
        if any(matches(selector, name) for selector in self._forced[run]):
            return True
        return any((run, each) in self._scheduled for each, names in self._dependents.items() if name in names)

    def _result(self, name: str) -> Any:
        spec, known = self._program.specs[name], self._known[name]
        return [f"{known.run}/{number}" for number in range(len(spec.activities))]

    def _expect(self, holds: bool, line: Line, problem: str) -> None:
        if not holds:
            self.problems.append(f"{problem}: {line}")

    def check_marks(self, marks: Mapping[str, Mapping[str, Any]]) -> None:
        """Check what is marked, by name and record, after a log."""
        for name, known in self._known.items():
            record = marks.get(name)
            if record is None:
                if known.must:
                    self.problems.append(f"the acknowledged mark of {name} is lost")
                continue
            if not known.may:
                self.problems.append(f"{name} is marked without its activities having ended, or is stale")
            elif record["run_id"] != known.run:
                self.problems.append(f"{name} is marked by {record['run_id']}, and was played by {known.run}")
            elif self._program.specs[name].save_result and record["result"] != self._result(name):
                self.problems.append(f"{name} has another result: {record['result']}")
        if unknown := set(marks) - set(self._known):
            self.problems.append(f"marked, and never played: {unknown}")

    def check_all_done(self) -> None:
        """Check that every step is done, after a run that nothing disturbed.

        Not of inner ones: a run that is killed while it withdraws them may leave the mark of the outer
        one, which is then skipped with what it submits.
        """
        outer = [spec.name for stage in self._program.stages for spec in stage]
        undone = [name for name in outer if not self._known[name].must]
        if undone:
            self.problems.append(f"undone after an undisturbed run: {undone}")
