"""The whole of asyncsteps in a few seconds, on real input, each claim checked: ``make demo``.

The census of the installed standard library (census.py) is run by the installed command on S3: on a moto server
that is started here and stopped at the end, or on the store that ``--store`` names, which must be empty and is
left so.
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asyncsteps.testing import run_moto_server

EXAMPLES = Path(__file__).resolve().parent
COMMAND = Path(sys.executable).parent / "asyncsteps"
TARGET = os.path.relpath(EXAMPLES / "census.py") + ":census"

Json = dict[str, Any]


class NotAsSaidError(Exception):
    """Something did not happen as the demo says it does."""


def title(text: str) -> None:
    print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n{text}", flush=True)


def check(holds: object, claim: str) -> None:
    """Print a claim that holds; the first one that does not ends the demo."""
    if not holds:
        raise NotAsSaidError(claim)
    print(f"  ✓ {claim}", flush=True)


@dataclass(frozen=True, slots=True)
class Started:
    """A command that was started, perhaps beside others.

    Attributes:
        line: The command line, as it is shown.
        output: What it writes to stdout, once it has ended.
    """

    line: str
    output: Future[str]

    def text(self) -> str:
        """Show the command line; wait for a command that must end well, and give what it wrote."""
        print(f"  $ {self.line}", flush=True)
        return self.output.result()

    def json(self) -> Any:
        """The same, of a command that writes JSON."""
        return json.loads(self.text())


class Shell:
    """Runs the installed command on one store.

    Args:
        store: The store's URL.
        env: The environment of the commands.
        pool: Has a thread for each command that runs beside others.
    """

    def __init__(self, store: str, env: dict[str, str], pool: ThreadPoolExecutor) -> None:
        self.store = store
        self._env = env
        self._pool = pool

    def start(self, *arguments: str, after: Started | None = None) -> Started:
        """Start a command, once ``after`` has ended."""
        return self._start(f"asyncsteps {shlex.join(arguments)}", [COMMAND, *arguments], {}, after)

    def start_python(self, script: Path, argument: str, env: dict[str, str], after: Started | None) -> Started:
        """Start a script with the variables ``env``, once ``after`` has ended."""
        variables = "".join(f"{name}={shlex.quote(value)} " for name, value in env.items())
        line = f"{variables}python {os.path.relpath(script)} {shlex.quote(argument)}"
        return self._start(line, [sys.executable, script, argument], env, after)

    def _start(self, line: str, command: list[str | Path], env: dict[str, str], after: Started | None) -> Started:
        def run() -> str:
            if after is not None:
                after.output.result()
            ended = subprocess.run(
                command, stdout=subprocess.PIPE, text=True, encoding="utf-8", env=self._env | env, check=False
            )
            if ended.returncode != 0:
                raise NotAsSaidError(f"the command ends with 0, not {ended.returncode}")
            return ended.stdout

        return Started(line, self._pool.submit(run))

    def run(self, workflow_id: str, *options: str) -> Json:
        """What ``asyncsteps run`` reports of one run of the census."""
        arguments = ("run", TARGET, "--store", self.store, "--workflow-id", workflow_id, *options)
        quiet = [] if sys.stderr.isatty() else ["--quiet"]  # live progress is worth seeing, and lines are not
        report: Json = self.json(*arguments, *quiet)
        return report

    def json(self, *arguments: str) -> Any:
        """What a command writes with ``--json``."""
        return self.start(*arguments, "--json").json()


def first_run(shell: Shell) -> Json:
    title("1. A first run: one step for each module of the standard library")
    report = shell.run("census-1")
    played = report["counts"]["played"]
    result = report["result"]
    size = result["size"]
    check(
        played == result["modules"] + 2 and report["counts"]["skipped"] == 0,
        f"{played} steps were played in {report['seconds']:.1f} s: {result['modules']} modules, and 2 reports",
    )
    ranking = ", ".join(f"{each['module']} ({each['lines']:,} lines)" for each in size["largest"][:3])
    check(size["lines"] > 0, f"{size['lines']:,} lines are counted; the largest modules are {ranking}")
    edges, most = result["graph"]["edges"], result["graph"]["most_imported"][0]
    check(
        edges > 0,
        f"{edges:,} imports; most import {most['module']}: {most['by']}",
    )
    return dict(result)


def second_run(shell: Shell, first: Json) -> None:
    title("2. The same run again: everything is done, so everything is skipped")
    report = shell.run("census-2")
    check(report["counts"]["played"] == 0, "no step was played")
    reasons = {reason for step in report["steps"] for reason in step["reasons"]}
    check(
        reasons == {"Step was already played"},
        f"{report['counts']['skipped']} were skipped in {report['seconds']:.1f} s, because: {', '.join(reasons)}",
    )
    check(report["result"] == first, "the results came back from the store, and equal the first run's")


def forced_run(shell: Shell, first: Json) -> None:
    title("3. One step forced: it is played again, and so is what depends on it")
    report = shell.run("census-3", "--force", "census.asyncio=the parser was mended")
    played = {step["step"]: step for step in report["steps"] if step["status"] == "completed"}
    check(
        sorted(played) == ["census.asyncio", "report.graph", "report.largest"],
        f"played: {', '.join(sorted(played))}",
    )
    for name, step in sorted(played.items()):
        check(step["forced"] and step["reasons"], f"{name} was forced, because: {'; '.join(step['reasons'])}")
    check(played["report.graph"]["reasons"] == ["Dep of census.asyncio"], "a dependent says whose it is")
    check(report["result"] == first, "nothing changed in the library, so the results are the same")


def start_plan(shell: Shell) -> Started:
    options = ("--store", shell.store, "--workflow-id", "census-4", "--force", "census.json=as an example")
    return shell.start("plan", TARGET, *options, "--json")


def a_plan(started: Started) -> None:
    title("4. A plan: what a run would do, without doing it")
    plan = started.json()
    forced = {step["step"]: step["reasons"] for step in plan["steps"] if step["action"] == "run"}
    check(sorted(forced) == ["census.json", "report.graph", "report.largest"], "three steps would run")
    for name, reasons in forced.items():
        check(reasons, f"{name} would be forced, because: {'; '.join(reasons)}")
    check(plan["counts"]["skip"] > 0, f"{plan['counts']['skip']} others would be skipped")
    check(plan["complete"], "the plan reaches the workflow's end: no result that is not known was needed")


def the_tree(listed: Started, shown: Started, first: Json) -> None:
    title("5. What the store holds")
    lines = listed.text().splitlines()
    for line in lines:
        print(f"  {line}")
    modules = first["modules"]
    check(
        lines[0].endswith(f": {modules + 2} done steps")
        and [line.partition("  ")[0] for line in lines[1:3]] == [f"├── census ({modules})", "└── report (2)"],
        "one object for each step that is done, named as the step is",
    )
    record = shown.json()["record"]
    check(
        record["workflow_id"] == "census-3", "and each says who marked it: census.asyncio was marked by census-3"
    )


@dataclass(frozen=True, slots=True)
class Handed:
    """Two workflow runs on simpleflow, one after the other, and a listing of what they have marked."""

    first: Started
    again: Started
    listed: Started


def hand_to_simpleflow(shell: Shell, bucket: str, folder: str) -> Handed:
    script, env = EXAMPLES / "bridge_census.py", {"STEP_BUCKET": bucket, "LOG_LEVEL": "WARNING"}
    first = shell.start_python(script, folder, env, after=None)
    again = shell.start_python(script, folder, env, after=first)
    listed = shell.start("ls", f"s3://{bucket}/census-simpleflow/steps", "--json", after=again)
    return Handed(first, again, listed)


def handed_to_simpleflow(handed: Handed) -> None:
    title("6. The census handed to simpleflow meanwhile, from asyncio over the bridge")
    first = handed.first.json()
    completed = [marker["step"] for marker in first if marker["status"] == "completed"]
    check(completed and completed[-1] == "report.largest", f"simpleflow played {', '.join(completed)}")
    check(len(first) == 2 * len(completed), "and recorded a scheduled and a completed marker for each, in order")
    again = handed.again.json()
    check({marker["status"] for marker in again} == {"skipped"}, "a second workflow run skipped them all")
    listed = handed.listed.json()["steps"]
    check(listed == sorted(completed), "the command lists what simpleflow's workflow has marked")


def play(shell: Shell) -> None:
    """All acts, in order; each checks what it says."""
    first = first_run(shell)
    second_run(shell, first)
    forced_run(shell, first)
    # What is left only reads, so that it runs side by side.
    plan, listed = start_plan(shell), shell.start("ls", shell.store)
    shown = shell.start("show", shell.store, "census.asyncio", "--json")
    a_plan(plan)
    the_tree(listed, shown, first)


def on_moto() -> None:
    title("An S3 server of our own")
    with run_moto_server() as server:
        server.create_bucket("library")
        print(f"  a moto server listens at {server.endpoint} and has the bucket 'library'")
        env = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor() as pool:
            shell = Shell("s3://library/steps", env | server.environment, pool)
            handed = hand_to_simpleflow(shell, "library", folder)
            play(shell)
            handed_to_simpleflow(handed)


def on_store(store: str) -> None:
    """Play on a store that is empty, so that nothing of anybody else's is touched, and leave it empty."""
    title("A store of your own")
    with ThreadPoolExecutor() as pool:
        shell = Shell(store, dict(os.environ), pool)
        held = shell.json("ls", store)["count"]
        check(
            held == 0,
            f"{store} is empty (if not: name another, or empty it: asyncsteps forget {shlex.quote(store)} '*')",
        )
        play(shell)
        title("Nothing is left behind")
        forgotten = shell.json("forget", store, "*", "--yes")["withdrawn"]
        check(shell.json("ls", store)["count"] == 0, f"{len(forgotten)} done marks were withdrawn")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", help="a directory, or an s3:// URL; it must be empty, and is left so")
    store: str | None = parser.parse_args().store
    try:
        if store is None:
            on_moto()
        else:
            on_store(store)
    except (NotAsSaidError, RuntimeError) as error:  # RuntimeError: the server does not start
        print(f"  ✗ NOT AS SAID: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    title("All as said.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
