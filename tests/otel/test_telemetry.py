"""Spans and metrics of runs, by the SDK's exporters in memory."""

import asyncio
import importlib
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, NumberDataPoint
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from run_support import RECORD, fails, noop, run_over

from asyncsteps import Chain, Group, MemoryStore, MissingExtraError, Runs, Step, StepRun, activity, current_step
from asyncsteps.otel import RunIdGenerator, Telemetry, trace_id_of


def context_of(span: ReadableSpan) -> trace.SpanContext:
    context = span.get_span_context()
    assert context is not None
    return context


class Collected:
    """A telemetry, and what it has exported."""

    def __init__(self, **options: Any) -> None:
        self._exporter = InMemorySpanExporter()
        self.tracers = TracerProvider(shutdown_on_exit=False, **options)
        self.tracers.add_span_processor(SimpleSpanProcessor(self._exporter))
        self._reader = InMemoryMetricReader()
        self._meters = MeterProvider([self._reader], shutdown_on_exit=False)
        self.telemetry = Telemetry(tracer_provider=self.tracers, meter_provider=self._meters)
        self.tracer = self.tracers.get_tracer("tests")

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self._exporter.get_finished_spans())

    def span(self, name: str) -> ReadableSpan:
        [span] = [each for each in self.spans if each.name == name]
        return span

    def parents(self) -> set[tuple[str, str | None]]:
        """Each span's name with that of its parent."""
        names = {context_of(each).span_id: each.name for each in self.spans}
        return {(each.name, None if each.parent is None else names[each.parent.span_id]) for each in self.spans}

    def metrics(self) -> dict[str, dict[tuple[tuple[str, Any], ...], Any]]:
        """The data points of each metric, by their attributes: a value, or how many were recorded."""
        found: dict[str, dict[tuple[tuple[str, Any], ...], Any]] = {}
        data = self._reader.get_metrics_data()
        for metric in data.resource_metrics[0].scope_metrics[0].metrics if data else ():
            for point in metric.data.data_points:
                attributes = tuple(sorted((point.attributes or {}).items()))
                value = point.value if isinstance(point, NumberDataPoint) else point.count
                found.setdefault(metric.name, {})[attributes] = value
        return found

    def close(self) -> None:
        self.tracers.shutdown()
        self._meters.shutdown()


@pytest.fixture
def collected() -> Iterator[Collected]:
    made = Collected(id_generator=RunIdGenerator())
    yield made
    made.close()
    assert not made.telemetry._runs


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return {name.removeprefix("asyncsteps."): value for name, value in (span.attributes or {}).items()}


async def test_a_run_its_steps_and_their_attempts_are_spans(collected: Collected) -> None:
    store = MemoryStore({"done": RECORD})
    async with run_over(store, run_id="r", version="1", on_event=collected.telemetry) as run:
        await run.submit(Step("a.b", activity(name="load")(noop), emit_signal=True))
        await run.submit(Step("done", noop))
    assert collected.parents() == {
        ("run", None),
        ("step a.b", "run"),
        ("attempt load", "step a.b"),
        ("step done", "run"),
    }
    identity = {"run_id": "r", "workflow_id": "w"}
    run_span = collected.span("run")
    assert (
        attributes(run_span).items()
        >= {
            **identity,
            "version": "1",
            "outcome": "completed",
            "steps.completed": 1,
        }.items()
    )
    assert run_span.status.status_code is StatusCode.UNSET
    step = attributes(collected.span("step a.b"))
    assert step.pop("queue_seconds") >= 0
    assert step == identity | {
        "step": "a.b",
        "status": "completed",
        "forced": False,
        "reasons": (),
        "attempts": 1,
    }
    assert [event.name for event in collected.span("step a.b").events] == ["step.scheduled"]
    assert attributes(collected.span("attempt load")) == identity | {
        "activity": "load",
        "attempt": 1,
        "step": "a.b",
    }
    assert attributes(collected.span("step done"))["reasons"] == ("Step was already played",)
    for span in collected.spans:
        assert span.start_time is not None
        assert span.end_time is not None
        assert span.start_time <= span.end_time


async def test_what_fails_has_the_status_of_an_error(collected: Collected) -> None:
    @activity(name="wrong", retry=1, retry_wait=0)
    async def wrong() -> None:
        raise ValueError(f"attempt {current_step().attempt}")

    async with run_over(MemoryStore(), on_event=collected.telemetry) as run:
        await run.submit(Step("a", wrong))
    attempts = [span for span in collected.spans if span.name == "attempt wrong"]
    assert [span.status.description for span in attempts] == ["ValueError: attempt 1", "ValueError: attempt 2"]
    step = collected.span("step a")
    for span in (*attempts, step):
        assert span.status.status_code is StatusCode.ERROR
        assert attributes(span)["error.type"] == "ValueError"
    assert [event.name for event in step.events] == ["step.scheduled", "step.retrying"]
    assert collected.span("run").status.description == "1 failures"


async def test_spans_of_the_users_own_are_below_what_they_are_made_in(collected: Collected) -> None:
    def in_thread() -> None:
        collected.tracer.start_span("thread").end()

    async def in_task() -> None:
        async def task() -> None:
            collected.tracer.start_span("task").end()

        await asyncio.create_task(task())
        await asyncio.to_thread(in_thread)

    async with run_over(MemoryStore(), on_event=collected.telemetry) as run:
        with collected.tracer.start_as_current_span("mine"):
            await run.submit(Step("a", Chain(activity(name="x")(in_thread), activity(name="y")(in_task))))
        collected.tracer.start_span("block").end()
    threads = [span for span in collected.spans if span.name == "thread"]
    assert collected.parents() >= {
        *(("mine", "run"), ("block", "run"), ("step a", "mine"), ("task", "attempt y")),
        *(("thread", "attempt x"), ("thread", "attempt y")),
    }
    assert len(threads) == 2
    assert not trace.get_current_span().get_span_context().is_valid


async def test_side_by_side_each_has_its_own_parent(collected: Collected) -> None:
    async def outer(run: StepRun, name: str) -> None:
        await run.submit(Step(f"{name}.inner", activity(name=f"in {name}")(asyncio.sleep)(0)))
        await asyncio.sleep(0)
        collected.tracer.start_span(f"end of {name}").end()

    names = [f"s{number}" for number in range(5)]
    async with run_over(MemoryStore(), on_event=collected.telemetry) as run:
        await run.submit(Group(*(Step(name, activity(name=f"of {name}")(outer)(run, name)) for name in names)))
    assert collected.parents() == {("run", None)} | {
        pair
        for name in names
        for pair in (
            (f"step {name}", "run"),
            (f"attempt of {name}", f"step {name}"),
            (f"step {name}.inner", f"attempt of {name}"),
            (f"attempt in {name}", f"step {name}.inner"),
            (f"end of {name}", f"attempt of {name}"),
        )
    }


async def test_a_step_that_is_submitted_from_outside_of_the_block_is_below_the_run(collected: Collected) -> None:
    entered = asyncio.Event()
    runs: list[StepRun] = []

    async def outside() -> None:
        await entered.wait()
        with collected.tracer.start_as_current_span("request"):
            await runs[0].submit(Step("a", noop))
            assert trace.get_current_span().name == "request"  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]

    task = asyncio.create_task(outside())
    async with run_over(MemoryStore(), on_event=collected.telemetry) as run:
        runs.append(run)
        entered.set()
        await task
    assert ("step a", "run") in collected.parents()


async def test_cancelled_steps_and_runs_end_their_spans(collected: Collected) -> None:
    began = asyncio.Event()

    async def waits() -> None:
        began.set()
        await asyncio.sleep(10_000)

    async def main() -> None:
        async with run_over(MemoryStore(), on_event=collected.telemetry) as run:
            await run.submit(Step("a", activity(name="x")(waits)))

    task = asyncio.create_task(main())
    await began.wait()
    task.cancel()
    await asyncio.wait([task])
    assert collected.parents() == {("run", None), ("step a", "run"), ("attempt x", "step a")}
    assert attributes(collected.span("step a"))["status"] == "cancelled"
    assert attributes(collected.span("run"))["outcome"] == "cancelled"


async def test_ids_are_computed_from_the_runs_id() -> None:
    async def ids(run_id: str) -> dict[str, tuple[int, int]]:
        collected = Collected(id_generator=RunIdGenerator())
        async with run_over(MemoryStore(), run_id=run_id, on_event=collected.telemetry) as run:
            await run.submit(Step("a", Chain(noop, noop)))
            collected.tracer.start_span("mine").end()
        found = {f"{span.name} {number}": context_of(span) for number, span in enumerate(collected.spans)}
        collected.close()
        return {name: (context.trace_id, context.span_id) for name, context in found.items()}

    first, again, other = await ids("r"), await ids("r"), await ids("other")
    assert {f"{trace_id:032x}" for trace_id, _ in first.values()} == {trace_id_of("r")}
    assert len(set(first.values())) == len(first) == 5
    mine = next(name for name in first if name.startswith("mine"))
    assert first.pop(mine) != again.pop(mine)
    assert first == again
    assert not set(first.values()) & set(other.values())


async def test_a_run_within_a_span_belongs_to_its_trace(collected: Collected) -> None:
    async def code(run: StepRun) -> None:
        await run.submit(Step("a", noop))

    async with MemoryStore() as store, Runs(store, on_event=collected.telemetry) as runs:
        with collected.tracer.start_as_current_span("request"):
            handle = runs.start(code, workflow_id="w")
        await handle.wait()
    assert {("run", "request"), ("step a", "run")} <= collected.parents()


async def test_metrics_count_and_time_what_happens(collected: Collected) -> None:
    store = MemoryStore({"done": RECORD})
    async with run_over(store, on_event=collected.telemetry, journal=False) as run:
        await run.submit(Chain(Step("a", activity(name="x")(noop)), Step("done", noop), Step("b", fails)))
    metrics = collected.metrics()
    assert metrics["asyncsteps.steps"] == {
        (("forced", False), ("status", "completed")): 1,
        (("forced", False), ("status", "skipped")): 1,
        (("forced", False), ("status", "failed")): 1,
    }
    assert metrics["asyncsteps.step.duration"] == {(("status", "completed"),): 1, (("status", "failed"),): 1}
    assert metrics["asyncsteps.step.queue_time"] == {(): 2}
    assert metrics["asyncsteps.attempts"][("activity", "x"),] == 1
    assert metrics["asyncsteps.attempts"][("activity", "run_support.fails"), ("error.type", "ValueError")] == 1
    assert metrics["asyncsteps.store.duration"][("operation", "marked"),] == 1
    assert metrics["asyncsteps.run.duration"] == {(("outcome", "failed"),): 1}


async def test_steps_under_way_rise_and_fall(collected: Collected) -> None:
    async with run_over(MemoryStore(), on_event=collected.telemetry) as run:
        began, goes_on = asyncio.Event(), asyncio.Event()

        async def waits() -> None:
            began.set()
            await goes_on.wait()

        task = asyncio.create_task(run.submit(Step("a", waits)))
        await began.wait()
        assert collected.metrics()["asyncsteps.steps.under_way"] == {(): 1}
        goes_on.set()
        await task
    assert collected.metrics()["asyncsteps.steps.under_way"] == {(): 0}


async def test_without_providers_it_costs_no_run(caplog: pytest.LogCaptureFixture) -> None:
    async with run_over(MemoryStore(), on_event=Telemetry()) as run:
        assert (await run.submit(Step("a", noop))).error is None
    assert not [record for record in caplog.records if "on_event" in record.getMessage()]


def test_without_the_api_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.trace", None)
    monkeypatch.delitem(sys.modules, "asyncsteps.otel")
    with pytest.raises(MissingExtraError, match=r"pip install 'asyncsteps\[otel\]'"):
        importlib.import_module("asyncsteps.otel")
