"""The command swf doctor."""

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Final

from asyncsteps.cli import _output
from asyncsteps.cli._exit import ExitCode, UsageError, run_async
from asyncsteps.cli._options import Repeated, SwfCommon

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
    store: str,
    task_list: Repeated = (),
    workflow_type: Repeated = (),
    endpoint_url: str | None = None,
    common: SwfCommon,
) -> int:
    """Check from this machine, with its credentials, what deciders and workers need.

    Args:
        store: The URL of the done steps, s3://bucket/prefix.
        task_list: A task list that deciders or workers poll. Repeatable.
        workflow_type: NAME:VERSION of a workflow type that must be registered. Repeatable.
        endpoint_url: S3 endpoint; overrides the environment (AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, profiles).
        common: Options of every command of SWF.
    """
    from asyncsteps.swf import diagnose

    types = [_type_of(given) for given in workflow_type]
    checks = run_async(
        lambda: diagnose(
            common.domain,
            store,
            task_lists=task_list,
            workflow_types=types,
            region_name=common.region,
            endpoint_url=endpoint_url,
            swf_endpoint_url=common.swf_endpoint_url,
        )
    )
    failures = [f"{check.area}: {check.name}: {check.detail}" for check in checks if check.verdict == "failed"]
    code = ExitCode.FAILED if failures else ExitCode.OK
    if common.json:
        _output.emit_json(
            {
                "domain": common.domain,
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
