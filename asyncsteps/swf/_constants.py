"""The limits of SWF, and what is kept within them."""

MAX_RESULT_CHARS = 32_768
"""The longest result, input or details of SWF, in characters."""

MAX_REASON_CHARS = 180
"""The longest reason of ours: SWF allows 256 characters, and simpleflow adds the name of what failed."""

MAX_INPUT_CHARS = 30_000
"""The longest list of names given to an activity, in characters; the rest of its input has the remainder."""

MAX_HISTORY_EVENTS = 25_000
"""SWF ends an execution whose history outgrows this."""

HISTORY_WARNING_EVENTS = 20_000
"""From here on the log warns, once every `HISTORY_WARNING_INTERVAL` events."""

HISTORY_WARNING_INTERVAL = 500

SNAPSHOT_KEEP_DAYS = 7
"""Writing a snapshot removes those of its prefix that are older; a decider that misses one lists anew."""
