"""Lists of done steps that are too long for a result, in memory: snapshots that may be gone, or parts."""

from collections.abc import Iterable
from typing import Any

from swf_simulator import SimulatedSwf, play_activity
from swf_workflows import LIST, MARK, WITHDRAW

from asyncsteps._plan.names import matches
from asyncsteps.swf._done.payload import Snapshot, part_form, snapshot_form, unpack


class Lists:
    """A bucket whose keys are `SimulatedSwf.done`, and whose lists never fit a result.

    Args:
        gone: How many snapshots cannot be found, from the first on.
        in_parts: Whether lists come in parts at once.
    """

    def __init__(self, *, gone: int = 0, in_parts: bool = False) -> None:
        self.gone, self.in_parts = gone, in_parts
        self.written: dict[str, list[str]] = {}

    async def read(self, bucket: str, snapshot: Snapshot) -> list[str] | None:
        """In place of `read_snapshot`."""
        return None if int(snapshot.name) < self.gone else self.written[snapshot.name]

    def play(self, swf: SimulatedSwf, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """Play an activity, those of steps on the keys."""
        match name.rpartition(".")[2]:
            case short if short == MARK:
                swf.done.add(f"{args[1]}{args[2]}")
                return None
            case short if short == WITHDRAW:
                return self._withdraw(swf, args[1], kwargs["names"], kwargs)
            case short if short == LIST:
                return self._list(self._under(swf, args[1]), kwargs)
        return play_activity(swf, name, args, kwargs)

    def _under(self, swf: SimulatedSwf, prefix: str) -> list[str]:
        return sorted(key.removeprefix(prefix) for key in swf.done if key.startswith(prefix))

    def _withdraw(self, swf: SimulatedSwf, prefix: str, names: Iterable[str], kwargs: dict[str, Any]) -> int:
        keep = set(unpack(kwargs["keep"])) if "keep" in kwargs else set()
        selected = {
            name
            for name in self._under(swf, prefix)
            if name not in keep and any(matches(selector, name) for selector in kwargs.get("under", ()))
        }
        gone = {prefix + name for name in {*names, *selected}} & swf.done
        swf.done -= gone
        return len(gone)

    def _list(self, done: list[str], kwargs: dict[str, Any]) -> Any:
        if kwargs.get("or_count"):
            return len(done)
        if not kwargs.get("compact"):
            return done
        done = [name for name in done if name > kwargs.get("after", "")]
        if self.in_parts or kwargs.get("after"):
            return part_form(done, limit=len(done) * 2 + 100)
        self.written[str(len(self.written))] = done
        return snapshot_form(Snapshot("snapshots/", str(len(self.written) - 1), len(done)))
