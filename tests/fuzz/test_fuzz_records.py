"""Records, the bodies of done marks: whatever is stored is a record or a `RecordError`, and the step is done."""

import json
from pathlib import Path
from typing import Any

import pytest
from fuzzing import bodies, examples, hostile_text, json_values, refused, values
from hypothesis import example, given
from hypothesis import strategies as st
from run_support import noop

from asyncsteps import DirectoryStore, RecordError, Step, StepDefinitionError, StepRun
from asyncsteps._run.markers import MarkerLog
from asyncsteps.store._records import decode_record, encode_record


@examples(300)
@given(bodies)
def test_any_body_is_a_record_or_is_refused(body: bytes) -> None:
    error = refused(lambda: decode_record("a", body), RecordError)
    assert error is None or "counts as done" in str(error)


@examples(200)
@given(st.dictionaries(hostile_text, json_values, max_size=4) | values)
def test_what_is_written_is_read_as_it_was(record: Any) -> None:
    written: list[bytes] = []
    if refused(lambda: written.append(encode_record("a", record)), RecordError) is None:
        assert decode_record("a", written[0]) == json.loads(json.dumps(record))  # which joins surrogates, too
        json.loads(written[0], parse_constant=pytest.fail)  # raises for NaN and the infinities, which are no JSON


@examples(40)
@given(body=bodies)
@example(body=b"[" * 100_000)
@example(body=b'{"result": ' + b"[" * 100_000)
@example(body=b'{"result": NaN}')
async def test_a_saved_result_is_given_back_or_told_when_it_is_used(tmp_path: Path, body: bytes) -> None:
    (tmp_path / "a").write_bytes(body)
    async with DirectoryStore(tmp_path) as store, StepRun(store, workflow_id="w") as run:
        outcome = await run.submit(Step("a", noop, save_result=True))
        assert outcome.status == "skipped"
        refused(lambda: outcome.result)
    assert (tmp_path / "a").read_bytes() == body


class Odd(dict[str, Any]):
    """A mapping whose items are another's, as `json.dumps` sees them."""

    def items(self) -> Any:
        raise RuntimeError("no items")


@examples(60)
@given(name=hostile_text, details=values)
@example(name="x", details=Odd(a=1))
@example(name="x", details={"a": [Odd(a=1)]})
def test_a_marker_is_one_line_of_json_or_is_refused(tmp_path: Path, name: str, details: Any) -> None:
    path = tmp_path / "markers"
    path.unlink(missing_ok=True)
    log = MarkerLog(markers_file=path)
    log.open()
    try:
        error = refused(lambda: log.record(name, details), StepDefinitionError)
    finally:
        log.close()
    lines = path.read_text().split("\n")
    if error is None:
        [line, end] = lines
        assert end == ""
        assert line.isascii()
        assert json.loads(line)["name"] == name
    else:
        assert lines == [""]
