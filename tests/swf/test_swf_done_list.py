"""The forms of the list of done steps, and its snapshots."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from string import ascii_letters
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from servers import MotoServer
from simpleflow import Workflow
from swf_simulator import SimulatedSwf, play_activity, workflow_class
from swf_workflows import ACTIVITIES, LIST, names, sequence, told

from asyncsteps._errors import AccessDeniedError, RecordError
from asyncsteps._plan.names import is_step_name, matches
from asyncsteps.store import StepStore
from asyncsteps.swf import WorkflowStepMixin
from asyncsteps.swf._done import snapshots
from asyncsteps.swf._done.payload import (
    Part,
    Snapshot,
    SortedNames,
    pack,
    part_form,
    read_form,
    short_form,
    size,
    snapshot_form,
    unpack,
)
from asyncsteps.swf._done.snapshots import read_snapshot, snapshot_prefix, write_snapshot
from asyncsteps.swf._errors import DoneListError
from asyncsteps.swf._steps import done_list
from asyncsteps.swf._sync.loop import run_sync
from asyncsteps.swf._sync.stores import use_store
from asyncsteps.swf.tasks import GetStepsDoneTask, MarkStepDoneTask, WithdrawStepsDoneTask

step_names = st.text(min_size=1, max_size=30).filter(is_step_name)


def incompressible(count: int, *, length: int = 64) -> list[str]:
    """Names that no form makes short, sorted."""
    random = Random(count)
    return sorted("".join(random.choices(ascii_letters, k=length)) for _ in range(count))


class TestForms:
    @given(st.lists(step_names, unique=True))
    def test_packing_loses_nothing(self, given_names: list[str]) -> None:
        assert unpack(json.loads(json.dumps(pack(given_names)))) == sorted(given_names)

    def test_plain_while_it_fits_exactly(self) -> None:
        fits = ["x" * 20 for _ in range(1424)]
        assert size(fits) == 32_753
        fits.append("y" * (32_768 - 32_753 - 3))
        assert size(fits) == 32_768
        assert short_form(fits) is fits
        assert isinstance(short_form([*fits[:-1], fits[-1] + "z"]), dict)

    def test_characters_are_counted_as_json_writes_them(self) -> None:
        assert size(["é"]) == len('["\\u00e9"]')

    def test_compact_while_that_fits(self) -> None:
        form = short_form(names(100_000))
        assert isinstance(form, dict)
        assert size(form) < 8_000
        assert read_form(json.loads(json.dumps(form))) == Part(names(100_000), None)
        assert short_form(incompressible(1_000)) is None

    def test_parts_fill_the_limit_and_go_on_where_they_end(self) -> None:
        left = incompressible(3_000)
        got: list[str] = []
        parts = 0
        while left:
            form = json.loads(json.dumps(part_form(left)))
            assert size(form) <= 32_768
            part = read_form(form)
            assert isinstance(part, Part)
            got += part.names
            parts += 1
            left = [name for name in left if part.through is not None and name > part.through]
        assert got == incompressible(3_000)
        assert parts == 6

    def test_a_pointer(self) -> None:
        snapshot = Snapshot("prefix/", "name", 7)
        assert read_form(json.loads(json.dumps(snapshot_form(snapshot)))) == snapshot

    @pytest.mark.parametrize("answer", [None, 7, "abc", {}, {"form": "other"}])
    def test_what_is_no_form_is_an_error(self, answer: Any) -> None:
        with pytest.raises(DoneListError, match="neither names"):
            read_form(answer)

    def test_a_later_version_is_named(self) -> None:
        with pytest.raises(DoneListError, match="version 2"):
            read_form({**pack(["a"]), "version": 2})

    @pytest.mark.parametrize("packed", ["", "!!", 7, pack(["a", "b"])["packed"]])
    def test_a_damaged_one_is_an_error(self, packed: Any) -> None:
        with pytest.raises(DoneListError):
            unpack({**pack(["a"]), "packed": packed})

    @given(st.lists(st.sampled_from(["a", "a.b", "a.b.c", "ab", "a-", "a/", "b", "b.a", "é.b"])), st.data())
    def test_what_selectors_match_is_found_in_order(self, done: list[str], data: st.DataObject) -> None:
        selectors = data.draw(st.lists(st.sampled_from(["*", "a", "a.b", "b", "é", "c"])))
        found = set(SortedNames(done).matching(selectors))
        assert found == {name for name in done if any(matches(selector, name) for selector in selectors)}


@pytest.fixture
def at_moto(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_endpoint)
    done_list._snapshots.clear()
    yield
    done_list._snapshots.clear()


class TestSnapshotPrefix:
    @pytest.mark.parametrize(
        "prefix", ["steps", "steps/", "wf/steps/", ".hidden/", "_x", ".asyncsteps-snapshots/", "é"]
    )
    def test_no_listing_of_the_steps_can_see_it(self, prefix: str) -> None:
        where = snapshot_prefix(prefix)
        assert where is not None
        for end in range(1, len(prefix) + 1):
            assert not where.startswith(prefix[:end])
        assert snapshot_prefix(f"{prefix.removesuffix('/')}/") == snapshot_prefix(prefix.removesuffix("/"))

    def test_there_is_none_beside_an_empty_prefix(self) -> None:
        assert snapshot_prefix("") is None


@pytest.mark.usefixtures("at_moto")
class TestSnapshots:
    def snapshot(self, bucket: str, done: list[str]) -> Snapshot | None:
        return run_sync(lambda: write_snapshot(bucket, "wf/steps", done))

    def test_are_written_once_and_read_back(self, moto_server: MotoServer, bucket: str) -> None:
        moto_server.put(bucket, "wf/steps/a")
        snapshot = self.snapshot(bucket, ["b", "a"])
        assert snapshot is not None
        assert snapshot == self.snapshot(bucket, ["a", "b"])
        assert run_sync(lambda: read_snapshot(bucket, snapshot)) == ["a", "b"]
        assert sorted(moto_server.keys(bucket)) == sorted([f"{snapshot.prefix}{snapshot.name}", "wf/steps/a"])
        assert GetStepsDoneTask(bucket, "wf/steps").execute() == ["a"]
        assert GetStepsDoneTask(bucket, "wf").execute() == []

    def test_old_ones_go_when_one_is_written(self, moto_server: MotoServer, bucket: str) -> None:
        where = snapshot_prefix("wf/steps")
        today = datetime.now(UTC)
        kept, old = (f"{where}{(today - timedelta(days=days)).strftime('%Y-%m-%d')}-abc" for days in (7, 8))
        moto_server.put(bucket, kept)
        moto_server.put(bucket, old)
        snapshot = self.snapshot(bucket, ["a"])
        assert snapshot is not None
        assert sorted(moto_server.keys(bucket)) == sorted([kept, f"{snapshot.prefix}{snapshot.name}"])

    def test_one_that_is_gone_is_none_and_a_damaged_one_an_error(
        self, moto_server: MotoServer, bucket: str
    ) -> None:
        gone = Snapshot("elsewhere/", "gone", 1)
        assert run_sync(lambda: read_snapshot(bucket, gone)) is None
        for body, error in ((b"no json", RecordError), (b"{}", DoneListError)):
            moto_server.put(bucket, "elsewhere/damaged", body)
            with pytest.raises(error):
                run_sync(lambda: read_snapshot(bucket, Snapshot("elsewhere/", "damaged", 1)))

    @pytest.mark.parametrize("refused", ["mark_done", "withdraw"])
    def test_a_role_that_may_not_is_told_what_to_allow(
        self, bucket: str, refused: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def use_refusing_store(bucket: str, prefix: str) -> Any:
            return _Refusing(use_store(bucket, prefix), refused)

        monkeypatch.setattr(snapshots, "use_store", use_refusing_store)
        assert (self.snapshot(bucket, ["a"]) is None) == (refused == "mark_done")
        assert {"mark_done": "s3:PutObject", "withdraw": "s3:DeleteObject"}[refused] in caplog.text


class _Refusing:
    """A store's block in which one method is denied."""

    def __init__(self, block: Any, refused: str) -> None:
        self.block = block
        self.refused = refused

    async def __aenter__(self) -> Any:
        self.store: StepStore = await self.block.__aenter__()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.block.__aexit__(*exc_info)

    def __getattr__(self, name: str) -> Any:
        if name == self.refused:
            raise AccessDeniedError("denied")
        return getattr(self.store, name)


def real_steps(swf: SimulatedSwf, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
    """The activities of steps on a real bucket, the others as simulated."""
    classes: list[Any] = [GetStepsDoneTask, MarkStepDoneTask, WithdrawStepsDoneTask]
    for task in classes:
        if name == f"{task.__module__}.{task.__name__}":
            return task(*args, **kwargs).execute()
    return play_activity(swf, name, args, kwargs)


@pytest.mark.usefixtures("at_moto")
class TestLongLists:
    """More done steps than any form of an activity's result can hold (names so long that few suffice)."""

    def start(self, moto_server: MotoServer, bucket: str, prefix: str, *, wanted: int) -> SimulatedSwf:
        done = incompressible(90, length=900)
        for name in done:
            moto_server.put(bucket, f"{prefix}{name}")
        workflow = workflow_class(
            Workflow,
            WorkflowStepMixin,
            run=sequence([done[7], "new.a", "new.b", *done[-wanted:]]),
            get_step_bucket=lambda self: bucket,
            get_step_path_prefix=lambda self: prefix,
        )
        return SimulatedSwf(workflow, activities=ACTIVITIES, play=real_steps)

    @pytest.fixture
    def reads(self, monkeypatch: pytest.MonkeyPatch) -> list[Snapshot]:
        reads: list[Snapshot] = []

        async def counted(bucket: str, snapshot: Snapshot) -> list[str] | None:
            reads.append(snapshot)
            return await read_snapshot(bucket, snapshot)

        monkeypatch.setattr(done_list, "read_snapshot", counted)
        return reads

    def test_a_second_listing_gives_a_pointer_that_is_read_only_to_decide(
        self, moto_server: MotoServer, bucket: str, reads: list[Snapshot]
    ) -> None:
        swf = self.start(moto_server, bucket, "wf/steps/", wanted=2)
        rounds: list[int] = []
        while swf.status == "open":
            done_list._snapshots.clear()  # a decider forks for every decision
            before = len(reads)
            swf.step()
            rounds.append(len(reads) - before)
            swf.advance()
        assert swf.scheduled.count(LIST) == 2
        assert [status for _, status in told(swf)] == [
            "skipped",
            *["scheduled", "completed"] * 2,
            *["skipped"] * 2,
        ]
        # count · list · decide, new.a · mark · decide new.b · mark · decide the last ones · close
        assert rounds == [0, 0, 1, 0, 1, 0, 1, 0]

    def test_a_process_reads_a_snapshot_once(
        self, moto_server: MotoServer, bucket: str, reads: list[Snapshot]
    ) -> None:
        swf = self.start(moto_server, bucket, "wf/steps/", wanted=2)
        swf.run()
        assert len(reads) == 1

    def test_a_snapshot_that_is_gone_is_listed_anew(self, moto_server: MotoServer, bucket: str) -> None:
        swf = self.start(moto_server, bucket, "wf/steps/", wanted=1)
        for _ in range(2):
            swf.step()
            swf.advance()
        (gone,) = (key for key in moto_server.keys(bucket) if "snapshots" in key)
        moto_server.request("DELETE", f"/{bucket}/{gone}")
        swf.run()
        assert swf.scheduled.count(LIST) == 3
        assert told(swf)[-1][1] == "skipped"

    def test_under_an_empty_prefix_the_list_comes_in_parts(
        self, moto_server: MotoServer, bucket: str, reads: list[Snapshot]
    ) -> None:
        swf = self.start(moto_server, bucket, "", wanted=2)
        swf.run()
        assert swf.scheduled.count(LIST) > 1
        assert reads == []
        assert [status for _, status in told(swf)][-2:] == ["skipped"] * 2
        assert len(moto_server.keys(bucket)) == 92
