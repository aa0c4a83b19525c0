"""Texts for the journal and the marks: shortened, without credentials, with long lists of reasons collapsed."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from asyncsteps._aws.redaction import redacted

DEPENDENT_OF = "Dep of "
"""How the reason of a dependent begins; the name of the step that forced it follows."""

_LONGEST = 300
_LONGEST_DEPENDENCY = 1_100
_FEW = 3
"""Up to this many steps that forced a dependent are named."""

_SECRET = re.compile(r"(?i)token|secret|signature|credential|passw|key|auth")


def shortened(text: object, at_most: int = _LONGEST) -> str:
    """Return the text on one line, without the credentials of URLs in it, and cut where it is long."""
    # Cut twice: first what is far too long to be searched, then what redaction has left.
    line = redacted(" ".join(str(text)[: 4 * at_most].split()))
    return line if len(line) <= at_most else f"{line[: at_most - 1]}…"


def shortened_reason(reason: str) -> str:
    """Return a reason as journals have it: shortened, but for a step's name in it, which readers look up."""
    if reason.startswith(DEPENDENT_OF) and len(reason) <= _LONGEST_DEPENDENCY:
        return redacted(reason) if "://" in reason else reason
    return shortened(reason)


def collapsed(reasons: Sequence[str]) -> list[str]:
    """Return the reasons; of many steps that force the same dependent, the first and how many more there are."""
    if len(reasons) <= _FEW:
        return list(reasons)
    dependencies = [reason for reason in reasons if reason.startswith(DEPENDENT_OF)]
    if len(dependencies) <= _FEW:
        return list(reasons)
    told = f"{dependencies[0]} and {len(dependencies) - 1:,} more"
    others = [reason for reason in reasons if not reason.startswith(DEPENDENT_OF)]
    at = next(number for number, reason in enumerate(reasons) if reason.startswith(DEPENDENT_OF))
    return [*others[:at], told, *others[at:]]


def without_secrets(value: Any, name: str = "") -> Any:
    """Return a JSON value that tells of ``value`` without what may be a credential: by its name, or in a URL."""
    if _SECRET.search(name):
        return "***"
    if isinstance(value, Mapping):
        return {str(key): without_secrets(each, str(key)) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [without_secrets(each) for each in value]
    return value if value is None or isinstance(value, bool | int | float) else shortened(value)
