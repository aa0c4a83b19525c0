"""The naive model: what the specification allows in a run, checked event by event. Simple, not fast."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from asyncsteps import Marker
from simulation.bucket import Bucket
from simulation.facts import Failed, Playing, in_between, required, selects, under_way
from simulation.spec import Act, FaultKind, History, RunSpec, StepDef


class RunModel:
    """What one run did so far, and each rule that it broke.

    Args:
        history: The history.
        spec: The run.
        run_id: Its id.
        bucket: The bucket, to be looked at.
        steps: The steps by name.
        events: What happened, for people; all runs of a history share it.
        features: What was exercised, likewise.
    """

    def __init__(
        self,
        history: History,
        spec: RunSpec,
        run_id: str,
        bucket: Bucket,
        steps: Mapping[str, StepDef],
        events: list[tuple[Any, ...]],
        features: set[str],
    ) -> None:
        self.alive = True
        self.broken: list[str] = []
        self.events = events
        self.features = features
        self.run_id = run_id
        self.playing: dict[str, Playing] = {}
        self.acknowledged: set[str] = set()
        self.last: dict[str, str] = {}
        self.failed: list[Failed] = []
        self.running = 0
        self.sent: Counter[str] = Counter()
        self.owed: Counter[str] = Counter()
        self.read_faults = 0
        self.marked_by_others: set[str] = set()
        self.withdrawn_by_others: set[str] = set()
        self._max_parallel = history.max_parallel
        self._limits = dict(history.limits)
        self._counted: Counter[str] = Counter()
        self._withdraws = spec.withdraws
        self._times_out = spec.timeout is not None
        self._bucket = bucket
        self._steps = steps
        self._additions: list[tuple[str, str, str | None]] = [("force", each, None) for each in spec.force]
        self._additions += [("skip", each, None) for each in spec.skip]
        self._played_at: dict[str, int] = {}

    def note(self, *event: Any) -> None:
        """Note what happened."""
        self.events.append((self.run_id, *event))

    def breaks(self, rule: str, what: str) -> None:
        """Note a broken rule."""
        self.note("BROKEN", rule, what)
        self.broken.append(rule)

    # The store.

    def requests(self, number: int, what: str, fault: FaultKind | None) -> None:
        self.note("request", number, what, *([fault] if fault else []))
        if fault:
            self.features.add(f"fault: {fault}")
        if what in {"done_page", "list_done"} and fault:
            self.read_faults += 1

    def marks(self, name: str, record: Mapping[str, Any]) -> None:
        self.note("marked", name)
        playing = self.playing.get(name)
        if record["run_id"] != self.run_id:
            self.breaks("mark", f"{name} is marked by a run that has gone")
        if playing is None or not required(self._steps[name].body) <= playing.ended_well:
            self.breaks("mark", f"{name} is marked, and its activities have not ended well")
            return
        playing.marked = True
        self._check_stale(name, itself=False)

    def withdraws(self, name: str) -> None:
        self.note("withdrawn", name)
        own = self.playing.get(name)
        if own is not None and own.forced and not own.started:
            demanded = True
        elif name in self.acknowledged or (own is not None and own.started):
            demanded = False
        else:
            demanded = any(
                not playing.started and any(selects(dep, name) for dep in self._steps[by].deps)
                for by, playing in self.playing.items()
            )
        if not (demanded and self._withdraws):
            self.breaks("withdrawal", f"{name} is withdrawn, and nothing demands it")

    def others(self, name: str, *, marked: bool) -> None:
        """Note that another run, or what one that was killed had sent, marks or withdraws a name meanwhile."""
        if self.alive:
            self.features.add("a name is marked or withdrawn by another run")
        (self.marked_by_others if marked else self.withdrawn_by_others).add(name)

    def _is_touched(self, name: str) -> bool:
        """Whether what this run knows of a name may be out of date."""
        return name in self.marked_by_others or name in self.withdrawn_by_others

    def _is_mine(self, name: str) -> bool:
        """Whether a name that this run has marked is marked, by it or after it; or another has withdrawn it."""
        record = self._bucket.records.get(name)
        if record is None:
            return name in self.withdrawn_by_others
        return record["run_id"] == self.run_id or name in self.marked_by_others

    def _check_stale(self, name: str, *, itself: bool) -> None:
        if not (self._withdraws and self.alive):
            return
        for other, record in self._bucket.records.items():
            if self._is_touched(other):
                continue
            if itself and other == name:
                self.breaks("stale", f"{name} is played again, and is still marked")
            elif (
                other != name
                and record["run_id"] != self.run_id
                and any(selects(dep, other) for dep in self._steps[name].deps)
            ):
                self.breaks("stale", f"{name} is played, and its dependent {other} is still marked from before")

    # The activities.

    def begins(self, owner: str | None, act: Act) -> None:
        self.note("begins", owner, act.ident)
        if owner is None:
            return
        playing = self.playing.get(owner)
        if playing is None:
            self.breaks("orphan", f"activity {act.ident} of {owner} runs, and the step does not")
        elif not playing.started:
            playing.started = True
            self._check_stale(owner, itself=True)

    def ends(self, owner: str | None, act: Act, how: str) -> None:
        self.note("ends", owner, act.ident, how)
        if owner is not None and how == "well" and owner in self.playing:
            self.playing[owner].ended_well.add(act.ident)

    def limits_of(self, names: Iterable[str]) -> list[str]:
        """The selectors of the limits that an activity counts to that runs within these steps."""
        within = list(names)
        return [limit for limit in self._limits if any(selects(limit, name) for name in within)]

    def pauses(self, limits: Iterable[str]) -> None:
        self.running -= 1
        self._counted.subtract(limits)

    def resumes(self, limits: Iterable[str]) -> None:
        self.running += 1
        if self.running > self._max_parallel:
            self.breaks("max_parallel", f"{self.running} activities run at once, of {self._max_parallel}")
        self._counted.update(limits)
        for limit in limits:
            if self._counted[limit] > self._limits[limit]:
                self.breaks("limits", f"{self._counted[limit]} activities run at once under {limit}")
            if self._counted[limit] == self._limits[limit] < self._max_parallel:
                self.features.add("a limit is reached")

    # The run.

    def adds(self, kind: str, selector: str, reason: str | None) -> None:
        self.note("selector", kind, selector, reason)
        self._additions.append((kind, selector, reason))

    def sends(self, name: str) -> None:
        self.note("signal", name)
        if name.startswith("step."):
            step = name.removeprefix("step.")
            self.sent[step] += 1
            if self.last.get(step) not in {"completed", "skipped"}:
                self.breaks("signal", f"{name} is sent before the step has ended well")

    def marker(self, marker: Marker) -> None:
        if not self.alive:
            return
        details = marker.details
        if marker.name != "log.step":
            self.note("marker", marker.name)
            return
        name, status = details["step"], details["status"]
        error = details.get("error", "")
        self.note("step", name, status, *(["forced"] if details["forced"] else []), *details["reasons"], error)
        if "overran its" in error:
            self.features.add(f"timeout: {error.partition('overran its ')[2].partition(' ')[0]}")
        if error and error.partition(":")[0] in _ENGINE_ERRORS:
            self.breaks("engine", error)
        getattr(self, f"_{status}")(name, details)
        self.last[name] = status

    def _scheduled(self, name: str, details: Mapping[str, Any]) -> None:
        if name in self.playing:
            self.breaks("markers", f"{name} is scheduled twice at once")
        if not details["forced"] and name in self._bucket.records and not self._is_touched(name):
            self.breaks("again", f"{name} is played again, and it is marked")
        self._check_decision("run", name, details)
        step = self._steps[name]
        self._additions += [("force", dep, f"Dep of {name}") for dep in step.deps]
        self.playing[name] = Playing(details["forced"], len(self._additions))
        self.acknowledged.discard(name)

    def _completed(self, name: str, _: Mapping[str, Any]) -> None:
        playing = self.playing.pop(name, None)
        if playing is None:
            self.breaks("markers", f"{name} is completed, and was not scheduled")
        elif not playing.marked or not self._is_mine(name):
            self.breaks("lost", f"{name} is completed, and is not marked")
        else:
            self._played_at[name] = playing.begun
        self.acknowledged.add(name)
        for failed in self.failed:
            failed.made_good |= failed.name == name
        self._owe_signal(name)

    def _skipped(self, name: str, details: Mapping[str, Any]) -> None:
        step = self._steps[name]
        if name in self.playing:
            self.breaks("markers", f"{name} is skipped while it is played")
        if step.alternative is None and not step.saves:  # else the decision was some time ago
            self._check_decision("skip", name, details)
            if not (details["forced"] or name in self._bucket.records or self._is_touched(name)):
                self.breaks("lost", f"{name} is skipped as done, and it is not marked")
        self._owe_signal(name)

    def _owe_signal(self, name: str) -> None:
        if self._steps[name].emits:
            self.owed[name] += 1

    def _failed(self, name: str, details: Mapping[str, Any]) -> None:
        self._ended_badly(name)
        self.failed.append(Failed(name, under_way(), in_between()))
        error = details["error"]
        asked = "done_page" in error or "list_done" in error
        if asked and not self._times_out and self.read_faults < _ASKED:
            self.breaks("asked again", f"{name} fails by a page that was not asked for {_ASKED} times")

    def _cancelled(self, name: str, _: Mapping[str, Any]) -> None:
        self._ended_badly(name)

    def _ended_badly(self, name: str) -> None:
        playing = self.playing.pop(name, None)
        left = playing is not None and playing.started and not playing.marked
        if left and self._withdraws and name in self._bucket.records and not self._is_touched(name):
            self.breaks("stale", f"{name} failed, and is still marked")

    def _check_decision(self, action: str, name: str, details: Mapping[str, Any]) -> None:
        since = self._played_at.get(name, 0)
        forcing = [each for each in self._additions[since:] if each[0] == "force" and selects(each[1], name)]
        skipping = [each for each in self._additions if each[0] == "skip" and selects(each[1], name)]
        reasons = list(details["reasons"])
        by_itself = "Step is forced" in reasons
        if by_itself or forcing:
            expected = ("run", True, [each[2] for each in forcing if each[2]] + ["Step is forced"] * by_itself)
        elif skipping:
            expected = ("skip", True, [each[2] for each in skipping if each[2]])
        elif action == "skip":
            expected = ("skip", False, ["Step was already played"])
        else:
            expected = ("run", False, [])
        if (action, details["forced"], reasons) != (*expected[:2], list(dict.fromkeys(expected[2]))):
            self.breaks("decision", f"{name}: {action} {details}, where {expected} is right")

    def check_end(self, *, crashed: bool) -> None:
        """Check what holds when a run has ended, however it has."""
        for name in sorted(self.acknowledged):
            if not self._is_mine(name):
                self.breaks("lost", f"{name} was completed, and its mark is gone")
        if crashed:
            return
        if self.playing:
            self.breaks("markers", f"{sorted(self.playing)} have no last marker")
        if self.running:
            self.breaks("orphan", f"{self.running} activities still run")
        if self.sent != self.owed:
            self.breaks("signal", f"sent {dict(self.sent)}, where {dict(self.owed)} is right")


_ASKED = 3
_ENGINE_ERRORS = {
    "AssertionError",
    "KeyError",
    "AttributeError",
    "TypeError",
    "IndexError",
    "RuntimeError",
    "ValueError",
}
