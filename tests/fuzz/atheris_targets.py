"""Fuzzes the parsers guided by coverage, with atheris, until it is stopped: ``make fuzz-guided TARGET=pages``.

The targets are pages (against botocore's reading), records, urls, markers (of SWF's histories) and lists.
"""

import json
import sys
import tempfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

atheris: Any = import_module("atheris")  # in a group of its own, so that type checkers do not find it

with atheris.instrument_imports(include=["asyncsteps"]):
    from fuzzing import refused
    from page_check import WHOLE, check

    from asyncsteps import RecordError, StoreError
    from asyncsteps.store import open_store
    from asyncsteps.store._records import decode_record
    from asyncsteps.store._s3 import page_parser
    from asyncsteps.swf._client.wire import decode
    from asyncsteps.swf._done.payload import pack, read_form
    from asyncsteps.swf._errors import DoneListError
    from asyncsteps.swf._steps.history import MarkerIndex


def records(data: bytes) -> None:
    """Any body is a record or a `RecordError`."""
    refused(lambda: decode_record("a", data), RecordError)


def urls(data: bytes) -> None:
    """Any text names a store or is refused."""
    refused(lambda: open_store(data.decode("utf-8", "surrogateescape")), StoreError)


def markers(data: bytes) -> None:
    """Any details of a marker are read, or left alone."""
    text = data.decode("utf-8", "replace")
    MarkerIndex({"log.step": [{"state": "recorded", "details": text}]})
    decode(text)


def lists(data: bytes) -> None:
    """Any result of a listing is a list or a `DoneListError`."""
    try:
        form = json.loads(data)
    except (ValueError, RecursionError):
        return
    refused(lambda: read_form(form), DoneListError)


TARGETS: dict[str, Callable[[bytes], None]] = {
    "pages": check,
    "records": records,
    "urls": urls,
    "markers": markers,
    "lists": lists,
}


SEEDS = {
    "pages": WHOLE,
    "records": b'{"run_id": "r", "result": [1.5, null]}',
    "urls": b"s3://user:secret@bucket/prefix?token=x",
    "markers": b'{"step": "a.b", "status": "scheduled", "forced": true, "reasons": ["why"]}',
    "lists": json.dumps(pack(["a", "a.b", "c"]) | {"through": "c"}).encode(),
}


if __name__ == "__main__":
    assert page_parser.__doc__  # imported here to be instrumented
    name = sys.argv.pop(1)
    with tempfile.TemporaryDirectory() as corpus:
        Path(corpus, "seed").write_bytes(SEEDS[name])
        atheris.Setup([*sys.argv, corpus], TARGETS[name])
        atheris.Fuzz()
