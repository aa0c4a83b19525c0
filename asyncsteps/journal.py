"""The journal: what happened in the last runs over a store, and why; docs/journal.md tells what is kept."""

from asyncsteps._journal.keeping import record_by_hand
from asyncsteps._journal.marks import MarkedGroup, seconds_of, show
from asyncsteps._journal.outlook import Now
from asyncsteps._journal.reasons import Reason
from asyncsteps._journal.story import RunSummary
from asyncsteps._journal.submissions import StepStory
from asyncsteps._journal.summaries import runs, story
from asyncsteps._journal.texts import collapsed
from asyncsteps._journal.why import RunAnswer, Why, why
from asyncsteps.store._protocol import JournalFile, JournalFiles

__all__ = [
    "JournalFile",
    "JournalFiles",
    "MarkedGroup",
    "Now",
    "Reason",
    "RunAnswer",
    "RunSummary",
    "StepStory",
    "Why",
    "collapsed",
    "record_by_hand",
    "runs",
    "seconds_of",
    "show",
    "story",
    "why",
]
