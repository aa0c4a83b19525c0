"""What the fuzzed properties share: how many examples, hostile text, and which errors are documented."""

import json
import traceback
from collections.abc import Callable
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

from asyncsteps import AsyncstepsError

DOCUMENTED = (AsyncstepsError, ValueError)
"""What hostile input may raise."""

ODD = [
    *(
        "",
        ".",
        "..",
        "/",
        "//",
        "~",
        "~/",
        "*",
        "%",
        "%2e%2e%2f",
        "+",
        "\\",
        ":",
        "@",
        "?",
        "#",
        "&",
        "=",
        "'",
        '"',
    ),
    *("\0", "\n", "\r", "\t", "\x1b[2J", "\x07", "\x9b31m", "\u202e", "\u2066", "\u2028", "\ufeff", "\ud800"),
    *(
        "\udcff",
        "é",
        "e\u0301",
        "ß",
        "\u1e9e",
        "\u0130",
        "\u0131",
        "\u212a",
        "\ufb01",
        "😀",
        "\ufffe",
        "\U0010ffff",
    ),
    *("-", "--json", "log.step", "a", "A", "b.c", "a" * 200, "a" * 256, "é" * 600, "x" * 1024, "NaN", "{}", "[["),
]

hostile_text = st.lists(st.sampled_from(ODD) | st.text(max_size=4), max_size=6).map("".join)
"""Text of what has broken others before."""

segments = st.text(
    st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="/.*"), min_size=1, max_size=12
)
step_names = st.lists(segments, min_size=1, max_size=4).map(".".join)
"""Valid names, of any script."""

json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | hostile_text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(hostile_text, inner, max_size=4),
    max_leaves=8,
)
"""What `json.loads` may give, NaN included."""

hostile_json = st.sampled_from(
    ["[" * 100_000, '{"a":' * 50_000, "9" * 5_000, "NaN", '"\\ud800"', "{} {}", "\ufeff{}", '{"a":1,"a":2}']
)
"""Texts that break readers of JSON."""

bodies: st.SearchStrategy[bytes] = (
    st.binary(max_size=40)
    | hostile_text.map(lambda text: text.encode(errors="surrogatepass"))
    | hostile_json.map(str.encode)
    | json_values.map(lambda value: json.dumps(value).encode())
    | st.dictionaries(hostile_text, json_values, max_size=4).map(lambda value: json.dumps(value).encode())
    | st.tuples(st.sampled_from(["utf-16", "utf-32", "utf-8-sig"]), st.just('{"a": 1}')).map(
        lambda pair: pair[1].encode(pair[0])
    )
)
"""What may be stored for a step."""

values: st.SearchStrategy[Any] = json_values | st.binary(max_size=8) | st.tuples(hostile_text) | st.builds(object)
"""What Python callers may pass."""


def examples(count: int) -> settings:
    """Play half of ``count`` examples under ``make test``, ten times ``count`` under ``make test-long``."""
    return settings(max_examples=max(1, count * settings().max_examples // 200))


def refused(call: Callable[[], object], *errors: type[Exception]) -> Exception | None:
    """Call; return the documented error that it raises, or None. Any other error is the test's failure."""
    expected = errors or DOCUMENTED
    try:
        call()
    except expected as error:
        return error
    return None


def told_by(error: BaseException | None) -> str:
    """All that an error tells: its text, repr and notes, those of its causes, and what ours have as attributes."""
    if error is None:
        return ""
    chain: list[BaseException] = []
    left: list[BaseException | None] = [error]
    while left:
        each = left.pop()
        if each is not None and each not in chain:
            chain.append(each)
            left += [each.__cause__, None if each.__suppress_context__ else each.__context__]
    shown = [f"{each} {each!r} {getattr(each, '__notes__', '')}" for each in chain]
    shown += (str(vars(each)) for each in chain if isinstance(each, AsyncstepsError))
    return "\n".join([*shown, *traceback.format_exception(error)])
