"""Shows a run: as one self-contained page, or as a trace for Perfetto."""

from asyncsteps.report._live import live_story
from asyncsteps.report._page import page
from asyncsteps.report._root_causes import RootCause, root_causes
from asyncsteps.report._story import RunStory, StepSpan
from asyncsteps.report._trace import trace

__all__ = ["RootCause", "RunStory", "StepSpan", "live_story", "page", "root_causes", "trace"]
