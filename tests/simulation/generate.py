"""Histories at random: the same seed gives the same history, in every process."""

from dataclasses import replace
from random import Random
from typing import TypeVar

from simulation.spec import (
    Act,
    Crash,
    Fault,
    FaultKind,
    History,
    How,
    Item,
    Lane,
    Many,
    Mark,
    Ref,
    RunSpec,
    Select,
    Send,
    StepDef,
    Submission,
    Wait,
)

T = TypeVar("T")

NAMES = ("a", "a.b", "a.b.c", "ab", "b", "b.a", "c")
_SECONDS = (0.0, 0.0, 0.1, 0.5, 1.0, 1.0, 2.0)
_SIGNALS = ("s", "step.a", "step.b", "step.c", "step.a.b")
_DEEPEST = 3


class _Generator:
    def __init__(self, seed: int) -> None:
        self.random = random = Random(seed)
        self.acts = 0
        self.names = NAMES[: random.randint(2, len(NAMES))]
        self.rich = random.random() < 0.7  # else few kinds of things, but more of them at once
        self.signals = self.rich and random.random() < 0.4
        self.cancels = random.random() < 0.5
        self.failing = random.random() < 0.6
        self.detaches = random.random() < 0.25

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def one(self, *among: T) -> T:
        return among[int(self.random.random() * len(among))]

    def seconds(self) -> float:
        return self.one(*_SECONDS)

    def act(self, depth: int) -> Act:
        self.acts += 1
        nested: tuple[Submission, ...] = ()
        ident = self.acts
        if depth < _DEEPEST and self.chance(0.35) and self.acts < 14:
            nested = tuple(self.submission(depth + 1) for _ in range(self.one(1, 1, 2, 3)))
            if self.detaches:
                nested = tuple(replace(each, how="detached") if self.chance(0.4) else each for each in nested)
        fails = self.one(1, 1, 2, 99) if self.failing and self.chance(0.25) else 0
        return Act(
            ident,
            self.seconds(),
            fails=fails,
            how=self.one("error", "error", "cancelled"),
            retry=self.one(1, 2) if self.chance(0.25) else 0,
            retry_wait=self.one(0.0, 1.0),
            timeout=self.one(0.5, 1.5, 5.0) if self.chance(0.12) else None,
            starts_within=self.one(0.0001, 0.3, 2.0) if self.chance(0.06) else None,
            closes_within=self.one(0.5, 2.0, 6.0) if self.chance(0.06) else None,
            lingers=self.one(0.3, 1.0) if self.chance(0.15) else 0.0,
            thread=self.chance(0.2) and not (self.signals and nested),  # see Act
            afterwards=self.seconds() if nested and self.chance(0.4) else 0.0,
            nested=nested,
            side_by_side=self.chance(0.4),
            swallows=self.chance(0.4),
            quiet=self.chance(0.1),
        )

    def ref(self) -> Ref:
        return Ref(self.one(*self.names), force=self.chance(0.08))

    def leaf(self) -> Item:
        return self.one(Mark("m"), Send("s"), Wait(self.one(*_SIGNALS)) if self.signals else Mark("n"))

    def item(self, depth: int, *, rank: int = 0) -> Item:
        """Something to submit; ``rank`` keeps the bodies of steps from holding each other."""
        kind = self.random.random()
        later = self.names[rank:]
        if kind < 0.5 and later:
            return Ref(self.one(*later), force=self.chance(0.08))
        if kind < 0.75 or depth >= _DEEPEST:
            return self.act(depth)
        if kind < 0.93:
            return self.many(depth, rank)
        return self.leaf() if self.rich else self.act(depth)

    def many(self, depth: int, rank: int) -> Many:
        count = self.one(1, 2, 2, 3)
        if self.chance(0.5):
            limit = self.one(None, None, 1, 2)
            members = tuple(self.item(depth + 1, rank=rank) for _ in range(count))
            return Many("group", members, max_parallel=limit, bubbles=self.chance(0.8))
        sends = self.chance(0.3)
        first = (self.item(depth + 1, rank=rank),)
        if sends:
            first = (self.act(depth + 1),) if isinstance(first[0], Many | Mark | Send | Wait) else first
            rest: tuple[Item, ...] = tuple(self.act(depth + 1) for _ in range(count - 1))
        else:
            rest = tuple(self.item(depth + 1, rank=rank) for _ in range(count - 1))
        breaks = sends or self.chance(0.7)
        return Many("chain", first + rest, send_result=sends, break_on_failure=breaks, bubbles=self.chance(0.8))

    def submission(self, depth: int) -> Submission:
        item: Item
        if self.chance(0.07):
            kind = self.one("force", "skip")
            item = Select("force" if kind == "force" else "skip", self.selector(), self.one(None, "why"))
        else:
            item = self.item(depth)
        how: How = "await"
        if self.cancels and self.chance(0.25):
            how = self.one("scope", "task", "timeout", "anyio_timeout")
        return Submission(
            item, how, self.one(0.0, 0.05, 0.5, 1.2), delay=self.seconds() if self.chance(0.3) else 0.0
        )

    def selector(self) -> str:
        selector = self.one(*self.names, "*") if self.chance(0.9) else "*"
        return f"={selector}" if selector != "*" and self.chance(0.2) else selector

    def limits(self) -> tuple[tuple[str, int], ...]:
        if self.chance(0.5):
            return ()
        return tuple({self.selector(): self.one(1, 1, 2) for _ in range(self.one(1, 2, 3))}.items())

    def step(self, rank: int) -> StepDef:
        body: Item = self.act(1) if self.chance(0.6) else self.item(1, rank=rank + 1)
        deps = tuple(self.selector() for _ in range(self.one(0, 0, 1, 1, 2)))
        return StepDef(
            self.names[rank],
            body,
            alternative=self.act(_DEEPEST) if self.chance(0.1) else None,
            emits=self.chance(0.3),
            deps=tuple(dict.fromkeys(deps)),
            bubbles=self.chance(0.3),
            saves=self.chance(0.2),
        )

    def faults(self) -> tuple[Fault, ...]:
        if self.chance(0.45):
            return ()
        kinds: tuple[FaultKind, ...] = (
            "throttle", "before", "after", "partial", "stall", "lost", "cancel_applied",
        )  # fmt: skip
        numbers = sorted({int(self.random.random() ** 2 * 24) for _ in range(self.one(1, 1, 2, 3, 6))})
        return tuple(Fault(number, self.one(*kinds)) for number in numbers)

    def crash(self) -> Crash | None:
        if self.chance(0.5):
            return None
        at = self.one("callback", "request", "applied")
        if at == "callback":
            return Crash("callback", int(2 ** (self.random.random() * 10)), late=self.chance(0.5))
        number = int(self.random.random() ** 2 * 16)
        return Crash("request" if at == "request" else "applied", number, late=self.chance(0.5))

    def run(self, *, last: bool = False, beside: bool = False) -> RunSpec:
        lag = self.one(None, 0.0, 0.0, 0.2, 0.5)
        latency, jitter = self.one(0.0, 0.05, 0.4), self.one(0.0, 0.0, 0.01, 0.3)
        if last:
            return RunSpec(lag=lag, latency=latency, jitter=jitter)
        leaves = self.chance(0.15)
        return RunSpec(
            force=tuple(self.selector() for _ in range(self.one(0, 0, 0, 1, 2))),
            skip=tuple(self.selector() for _ in range(self.one(0, 0, 0, 1))),
            mark_timeout=self.one(0.1, 1.0, 30.0),
            retry=self.one(0, 0, 0, 2),
            timeout=self.one(None, None, None, 1.0, 20.0),
            withdraws=self.chance(0.95),
            lag=lag,
            latency=latency,
            jitter=jitter,
            faults=self.faults(),
            crash=self.crash(),
            leave_at=self.one(0.0, 0.3, 1.1, 2.0) if leaves else None,
            cancel_at=tuple(self.one(0.2, 0.6, 1.0, 3.0) for _ in range(self.one(1, 2)))
            if self.chance(0.15)
            else (),
            fails=self.failing,
            beside=beside,
            until=(self.selector(),) if self.chance(0.15) else (),
        )


def generate(seed: int) -> History:
    """The history of a seed."""
    made = _Generator(seed)
    random = made.random
    steps = tuple(made.step(rank) for rank in range(len(made.names)))
    lanes = tuple(
        Lane(tuple(made.submission(0) for _ in range(made.one(1, 2, 3)))) for _ in range(made.one(1, 2, 3))
    )
    others = ("a.b.x", "a.b.y", "a.z", "aa", "b.z", "bb", "z")
    done = [name for name in (*made.names, *others) if random.random() < 0.3] if made.chance(0.5) else []
    runs = [made.run() for _ in range(made.one(1, 1, 2))]
    if made.chance(0.15):
        runs.append(made.run(beside=True))
    return History(
        seed,
        steps,
        lanes,
        (*runs, made.run(last=True)),
        max_parallel=made.one(1, 1, 2, 3, 4),
        limits=made.limits(),
        page=made.one(1, 2, 3, 1000),
        done=tuple(done),
        walks=made.chance(0.4),
    )
