"""A report as JSON, and from that JSON as text, as Markdown and as a picture."""

import dataclasses
import os
import platform
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from bench._report import Column, Result, Row

Report = dict[str, Any]
"""``taken`` (UTC), ``machine``, and ``results``: each a `Result` as JSON values, with its ``command``."""

_PACKAGES = (
    "asyncsteps",
    "aioboto3",
    "aiobotocore",
    "boto3",
    "botocore",
    "anyio",
    "obstore",
    "simpleflow",
    "luigi",
    "dbos",
    "moto",
)

_INTRODUCTION = """\
# Benchmark tables

Rendered by `python -m bench --from docs/benchmarks.json --markdown`, and edited by nobody.
[Benchmarks](benchmarks.md) says how this was measured, and what falls short."""


def _machine() -> dict[str, Any]:
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "versions": versions,
    }


def _processor() -> str:
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found[1] if found else platform.processor()


def new_report() -> Report:
    """Make a report without results, of this machine and this moment."""
    return {"taken": datetime.now(UTC).isoformat(timespec="seconds"), "machine": _machine(), "results": []}


def as_json(result: Result, *, command: str) -> dict[str, Any]:
    """Convert a result to JSON values."""
    return {**dataclasses.asdict(result), "command": command}


def all_well(report: Report) -> bool:
    """Return whether every goal is met and no measurement failed."""
    return all(
        all(goal["met"] for goal in result["goals"])
        and not any("error" in row for table in result["tables"] for row in table["rows"])
        for result in report["results"]
    )


def _cells(table: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Return the headings and the rows as text, without columns that are empty in every row."""
    columns = [Column(**column) for column in table["columns"]]
    rows: list[Row] = [row for row in table["rows"] if "error" not in row]
    columns = [column for column in columns if any(row.get(column.key) is not None for row in rows)]
    return [column.heading for column in columns], [[column.text(row) for column in columns] for row in rows]


def _errors(table: Mapping[str, Any]) -> list[str]:
    failed = [row for row in table["rows"] if "error" in row]
    return [f"failed: {row.get('peer', table['title'])}: {row['error'].splitlines()[-1]}" for row in failed]


def as_text(result: Mapping[str, Any]) -> str:
    """Render a result for a terminal."""
    lines = ["", f"== {result['title']}", f"   {result['command']}"]
    for table in result["tables"]:
        headings, rows = _cells(table)
        widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
        lines += ["", table["title"]]
        for row in (headings, *rows) if rows else ():
            lines.append("  " + "  ".join(text.rjust(width) for text, width in zip(row, widths, strict=True)))
        lines += _errors(table)
    lines += [""] if result["goals"] else []
    lines += [
        f"  {'met   ' if goal['met'] else 'MISSED'}  {goal['what']}: {goal['measured']}"
        for goal in result["goals"]
    ]
    lines += ["", *(f"  {note}" for note in result["notes"])] if result["notes"] else []
    return "\n".join(lines)


def as_markdown(report: Report) -> str:
    """Render a report as a page of its own."""
    lines = [_INTRODUCTION, "", _machine_in_words(report)]
    told: set[str] = set()
    for result in report["results"]:
        heading = result["key"].replace("-", ": ", 1).replace("-", " ").capitalize()
        lines += ["", f"## {heading}", "", f"{result['title']}: `{result['command']}`", ""]
        lines += [_tables_in_markdown(result)]
        lines += [f"\n{note}" for note in result["notes"] if note not in told]
        told.update(result["notes"])
    return "\n".join(lines)


def _tables_in_markdown(result: Mapping[str, Any]) -> str:
    lines: list[str] = []
    for table in result["tables"]:
        headings, rows = _cells(table)
        if len(result["tables"]) > 1:
            lines += [f"**{table['title']}**", ""]
        for cells in (headings, ["---"] * len(headings), *rows):
            lines.append("| " + " | ".join(text.replace("|", "\\|") for text in cells) + " |")
        lines += ["", *_errors(table)]
    lines += [
        f"- {'met' if goal['met'] else '**missed**'}: {goal['what']} (measured: {goal['measured']})"
        for goal in result["goals"]
    ]
    return "\n".join(lines).strip()


def _machine_in_words(report: Report) -> str:
    machine = report["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    return (
        f"Taken {report['taken'][:10]} on {machine['cores']} cores ({machine['processor']}), {machine['system']}, "
        f"{machine['python']}; {versions}."
    )


def plot(report: Report, path: Path) -> None:
    """Draw all charts, two to a row; the suffix of ``path`` chooses PNG or SVG."""
    from matplotlib.figure import Figure

    charts = [chart for result in report["results"] for chart in result["charts"]]
    columns, rows = min(2, max(1, len(charts))), max(1, -(-len(charts) // 2))
    figure = Figure(figsize=(6.5 * columns, 4.8 * rows), layout="constrained")
    for place, chart in enumerate(charts, 1):
        axes = figure.add_subplot(rows, columns, place)
        for label, points in chart["lines"].items():
            axes.plot([x for x, _ in points], [y for _, y in points], marker="o", label=label)
        if chart["log"]:
            axes.set_xscale("log")
            axes.set_yscale("log")
        axes.set(title=chart["title"], xlabel=chart["x"], ylabel=chart["y"])
        axes.grid(visible=True, which="both", alpha=0.3)
        axes.legend()
    figure.savefig(path)
