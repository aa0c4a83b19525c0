"""Keeps the newest journals, and writes those of commands that change marks by hand."""

import logging
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal

from asyncsteps._errors import StoreError
from asyncsteps._journal.lines import VERSION, Encoder
from asyncsteps._journal.places import folder_name, folders, segment_name
from asyncsteps._journal.story import SILENT_AFTER
from asyncsteps._journal.texts import shortened
from asyncsteps.store._protocol import JournalFiles, StepStore, journal_files

logger = logging.getLogger("asyncsteps")

KEEP_RUNS = 100
"""How many journals are kept of commands that change marks by hand."""


async def clean(files: JournalFiles, *, keep: int) -> None:
    """Remove all journals but the newest, of runs and of commands each; not those of runs that may still go on."""
    everything = folders(await files.names())
    for kind in ("run", "hand"):
        gone: list[str] = []
        for folder in [folder for folder in everything if folder.kind == kind][:-keep]:
            if not folder.ended:
                last = await files.read(folder.segments[-1])
                if last is not None and last.age < SILENT_AFTER:
                    continue
            gone += folder.files
        if gone:
            await files.remove(gone)


async def record_by_hand(
    store: StepStore,
    change: Literal["marked", "forgotten"],
    names: Sequence[str],
    *,
    by: str,
    reason: str | None = None,
    run_id: str | None = None,
    workflow_id: str = "by hand",
) -> None:
    """Leave a line in the journal about marks that were changed by hand. A failure is only logged.

    Args:
        store: The store.
        change: What was done to the marks.
        names: The steps' names; nothing is written if there are none.
        by: Who did it.
        reason: Why.
        run_id: The id that the marks have, if one was made up for them.
        workflow_id: The workflow's id that they have.
    """
    files, now = journal_files(store), datetime.now(UTC)
    if files is None or not names:
        return
    run_id = run_id or str(uuid.uuid4())
    encoder, told = Encoder(run_id, workflow_id), None if reason is None else shortened(reason)
    lines = encoder.event("started", now, {"journal": VERSION, "segment": 1, "by": shortened(by)})
    lines += encoder.event(change, now, {"names": list(names), "by": shortened(by), "reason": told})
    lines += encoder.event("ended", now, {"outcome": "completed", "seconds": 0.0, "counts": {}, "failures": 0})
    try:
        await files.write(segment_name(folder_name("hand", run_id, now), 1, last=True), lines.encode())
        if not files.remote:
            await clean(files, keep=KEEP_RUNS)
    except StoreError as error:
        logger.warning("the journal does not tell of this change (%s)", error)
