"""The command swf doctor."""

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Final

from asyncsteps.cli import _output
from asyncsteps.cli._exit import ExitCode, UsageError, run_async

if TYPE_CHECKING:
    from asyncsteps.swf import Check

_AREAS: Final = {
    "versions": "versions here",
    "swf": "Amazon SWF",
    "steps": "the done steps",
    "snapshots": "the snapshots of long lists",
}


def doctor(
    *,
    domain: str,
    store: str,
    task_lists: Sequence[str],
    workflow_types: Sequence[str],
    region: str | None,
    endpoint_url: str | None,
    swf_endpoint_url: str | None,
    as_json: bool,
) -> int:
    """Check from this machine what deciders and workers need."""
    from asyncsteps.swf import diagnose

    types = [_type_of(given) for given in workflow_types]
    checks = run_async(
        lambda: diagnose(
            domain,
            store,
            task_lists=task_lists,
            workflow_types=types,
            region_name=region,
            endpoint_url=endpoint_url,
            swf_endpoint_url=swf_endpoint_url,
        )
    )
    failures = [f"{check.area}: {check.name}: {check.detail}" for check in checks if check.verdict == "failed"]
    code = ExitCode.FAILED if failures else ExitCode.OK
    if as_json:
        _output.emit_json(
            {
                "domain": domain,
                "store": store,
                "checks": [
                    {"area": it.area, "name": it.name, "verdict": str(it.verdict), "detail": it.detail}
                    for it in checks
                ],
                "errors": failures,
                "exit_code": int(code),
            }
        )
    else:
        _output.emit("\n".join(_table(checks)))
    return code


def _type_of(given: str) -> tuple[str, str]:
    """Split NAME:VERSION; names may have colons, and versions of simpleflow have none."""
    name, colon, version = given.rpartition(":")
    if not (colon and name and version):
        raise UsageError(f"--workflow-type {given!r}: write NAME:VERSION")
    return name, version


def _table(checks: "Sequence[Check]") -> list[str]:
    width = max((len(check.name) for check in checks), default=0)
    lines: list[str] = []
    for area, alike in groupby(checks, key=lambda check: check.area):
        lines.append(_AREAS.get(area, area))
        lines += [
            f"  {check.verdict:7}  {check.name:{width}}  {_output.one_line(check.detail)}" for check in alike
        ]
    counts = [
        _output.count(number, noun)
        for verdict, noun in (("failed", "failure"), ("warning", "warning"))
        if (number := sum(check.verdict == verdict for check in checks))
    ]
    return [*lines, ", ".join(counts) or "all is well"]
