"""How far this machine's clock is from a server's."""

import datetime as dt

from asyncsteps.swf._doctor.check import Check, failed, ok, warning

NOTICEABLE = 60
"""Seconds from which on a clock is worth a look."""

REFUSED = 300
"""Seconds from which on signatures are refused by AWS, but for S3, which allows 15 minutes."""


def check_clock(area: str, server_time: dt.datetime | None, now: dt.datetime) -> Check:
    """Compare the time of a server's answer with this machine's, at the time of the answer."""
    if server_time is None:
        return warning(area, "clock", "the server's answer has no date")
    skew = (now - server_time).total_seconds()
    if abs(skew) < NOTICEABLE:
        return ok(area, "clock", "within a minute of the server's")
    how = f"this machine's clock is {abs(skew):,.0f} s {'ahead of' if skew > 0 else 'behind'} the server's"
    remedy = "set it, with NTP for instance"
    if abs(skew) < REFUSED:
        return warning(area, "clock", f"{how}: {remedy}")
    return failed(area, "clock", f"{how}, and signatures are refused from {REFUSED} s on: {remedy}")
