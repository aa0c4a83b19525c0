"""The command of the benchmarks: ``python -m bench NAME`` runs one, ``python -m bench`` the quick set of all."""

import argparse
import dataclasses
import importlib
import json
import pkgutil
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import bench
from bench import _render
from bench._report import Options, Result, say
from bench._shapes import SHAPES
from bench._targets import TargetError

_FLAGS = {"shapes": "--shape", "latencies_ms": "--latency-ms"}


def _benches() -> dict[str, ModuleType]:
    names = sorted(
        module.name for module in pkgutil.iter_modules(bench.__path__) if not module.name.startswith("_")
    )
    return {name: importlib.import_module(f"bench.{name}") for name in names}


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part.replace("_", "")) for part in text.split(","))


def _parser(benches: dict[str, ModuleType]) -> argparse.ArgumentParser:
    helps = "\n".join(f"  {name:10} {(module.__doc__ or '').splitlines()[0]}" for name, module in benches.items())
    shapes = "\n".join(f"  {name:18} {what}" for name, (what, _) in SHAPES.items())
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=f"benches:\n{helps}\n\nshapes:\n{shapes}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", nargs="?", choices=benches, metavar="NAME", help="a bench; without: the quick set")
    parser.add_argument(
        "--target", help="model (default), moto, or a URL: s3://bucket/prefix, http://host/bucket/prefix"
    )
    parser.add_argument("--keys", type=_numbers, metavar="N[,N]", help="how many keys, marks or steps")
    parser.add_argument("--shape", dest="shapes", type=lambda text: tuple(text.split(",")), metavar="S[,S]|all")
    parser.add_argument(
        "--latency-ms",
        dest="latencies_ms",
        type=lambda text: tuple(float(part) for part in text.split(",")),
        metavar="L[,L]",
        help="how long the model server waits before each answer",
    )
    parser.add_argument("--concurrency", type=int, metavar="C", help="requests at once")
    parser.add_argument(
        "--requests-per-second", type=float, metavar="R", help="above it the model server throttles"
    )
    parser.add_argument("--peers", type=lambda text: tuple(text.split(",")), metavar="P[,P]", help="only these")
    parser.add_argument("--repeat", type=int, metavar="K", help="measure K times and keep the median")
    parser.add_argument(
        "--write", action="store_true", default=None, help="a target given as URL may be written to and cleaned up"
    )
    parser.add_argument("--label", help="the result's heading in the Markdown, instead of the bench's name")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all results as JSON")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the charts: .png or .svg")
    parser.add_argument(
        "--from", dest="source", type=Path, metavar="JSON", help="show what that file holds, measure nothing"
    )
    parser.add_argument("--markdown", action="store_true", help="with --from: show it as a page of Markdown")
    return parser


def _options(parser: argparse.ArgumentParser, given: argparse.Namespace, module: ModuleType) -> Options:
    fields = [field.name for field in dataclasses.fields(Options)]
    explicit = {name: getattr(given, name) for name in fields if getattr(given, name) is not None}
    options = Options(**{**module.DEFAULTS, **explicit})
    if options.target != "model" and {"latencies_ms", "requests_per_second"} & explicit.keys():
        parser.error("--latency-ms and --requests-per-second are for the model server: leave out --target")
    unknown = [shape for shape in options.shapes if shape != "all" and shape not in SHAPES]
    if unknown:
        parser.error(f"there is no shape {unknown[0]!r}: {', '.join(SHAPES)}, or all")
    strangers = set(options.peers) - set(getattr(module, "PEERS", ()))
    if strangers:
        parser.error(
            f"there is no peer {min(strangers)!r}: {', '.join(getattr(module, 'PEERS', ())) or 'none here'}"
        )
    return options


def _command(given: argparse.Namespace) -> str:
    """Return the command line that repeats the measurement, without its output options."""
    words = ["python", "-m", "bench", given.name]
    for option in (
        "target",
        "keys",
        "shapes",
        "latencies_ms",
        "concurrency",
        "requests_per_second",
        "peers",
        "repeat",
    ):
        value = getattr(given, option)
        if value is not None:
            values = value if isinstance(value, tuple) else (value,)
            text = ",".join(f"{one:g}" if isinstance(one, float) else str(one) for one in values)
            words += [_FLAGS.get(option, f"--{option.replace('_', '-')}"), text]
    if given.write:
        words.append("--write")
    return shlex.join(words)


def _run(parser: argparse.ArgumentParser, benches: dict[str, ModuleType], words: Sequence[str]) -> dict[str, Any]:
    given = parser.parse_args(words)
    module = benches[given.name]
    options = _options(parser, given, module)
    command = _command(given)
    say(command)
    started = time.monotonic()
    result: Result = module.run(options)
    if given.label:
        result = dataclasses.replace(result, key=given.label)
    say(f"  took {time.monotonic() - started:.0f} s")
    return _render.as_json(result, command=command)


def _check_outputs(parser: argparse.ArgumentParser, given: argparse.Namespace) -> None:
    """Refuse output options that would fail only after everything was measured."""
    if given.plot is not None and given.plot.suffix not in {".png", ".svg"}:
        parser.error(f"--plot draws .png or .svg files, not {given.plot.name}")
    if given.markdown and given.source is None:
        parser.error("--markdown shows what a file holds: give it with --from")
    of_one = [name for name in (*Options.__dataclass_fields__, "label") if getattr(given, name) is not None]
    if of_one and given.name is None:
        parser.error("the options of a run need the NAME of a bench; the quick set has its own")


def _measure_all(
    parser: argparse.ArgumentParser,
    benches: dict[str, ModuleType],
    lines: Sequence[Sequence[str]],
    file: Path | None,
) -> _render.Report:
    """Run each command line and print its result; the file keeps the results so far, whatever happens."""
    report = _render.new_report()
    try:
        for line in lines:
            report["results"].append(_run(parser, benches, line))
            print(_render.as_text(report["results"][-1]), flush=True)
    except TargetError as error:
        parser.error(str(error))
    finally:
        if file is not None and report["results"]:
            file.write_text(json.dumps(report, indent=1) + "\n")
    return report


def main(words: Sequence[str]) -> int:
    """Run what the command line names; return 1 when a goal is missed or a measurement failed."""
    benches = _benches()
    parser = _parser(benches)
    given = parser.parse_args(words)
    _check_outputs(parser, given)
    if given.source is not None:
        report = json.loads(given.source.read_text())
        texts = map(_render.as_text, report["results"])
        print(_render.as_markdown(report) if given.markdown else "\n".join(texts))
    else:
        quick = [shlex.split(line) for module in benches.values() for line in module.QUICK]
        report = _measure_all(parser, benches, [list(words)] if given.name else quick, given.json)
    if given.plot is not None:
        _render.plot(report, given.plot)
    return 0 if given.source is not None or _render.all_well(report) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
