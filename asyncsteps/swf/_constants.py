"""The limits of SWF, and what is kept within them."""

MAX_RESULT_CHARS = 32_768
"""The longest result, input or details of SWF, in characters."""

MAX_REASON_CHARS = 170
"""The longest reason of ours: SWF allows 256 characters, and simpleflow adds the name of the task that failed."""

MAX_INPUT_CHARS = 30_000
"""The longest list of names given to an activity, in characters; the rest of its input has the remainder."""

MAX_HISTORY_EVENTS = 25_000
"""SWF ends an execution whose history outgrows this."""

HISTORY_WARNING_EVENTS = 20_000
"""From here on the log warns, once every `HISTORY_WARNING_INTERVAL` events."""

HISTORY_WARNING_INTERVAL = 500

STORE_SECONDS = 20
"""Seconds that a request to S3 may take, retries included; a step activity has 60 in which to say what failed."""

MAX_LISTINGS = 3
"""How often an execution lists the done steps, when a decider finds each snapshot gone."""

SNAPSHOT_WAITS = (10, 20, 40, 80, 160, 300, 300, 300, 300, 300)
"""Seconds between a decider's attempts to read a snapshot while S3 does not answer, about half an hour in all."""

SNAPSHOT_KEEP_DAYS = 7
"""Writing a snapshot removes those of its prefix that are older; a decider that misses one lists anew."""
