"""Examples of each command, for its ``--help``."""

from typing import Final

EXAMPLES: Final = {
    "_run:run": (
        "run flow.py:main --store steps --workflow-id nightly",
        "run flow.py:main --store s3://bucket/steps --workflow-id nightly --force load.users='wrong export'",
        "run flow.py:main --store steps --workflow-id nightly --until load --limit load.stripe=5",
    ),
    "_run:plan": ("plan flow.py:main --store steps --workflow-id nightly --force '=report.std'",),
    "_store:ls": ("ls s3://bucket/steps", "ls steps load --depth 2", "ls steps '*' --names"),
    "_runs:runs": ("runs steps", "runs s3://bucket/steps --last 50 --json"),
    "_why:why": ("why steps load.users", "why steps report --force load"),
    "_show_run:report": ("report steps -o report.html", "report s3://bucket/steps --format trace -o trace.json"),
    "_check:check": ("check s3://bucket/steps",),
    "_show:show": ("show steps load.users", "show steps load"),
    "_store:mark": ("mark steps load.users load.orders --reason 'done by hand'",),
    "_store:forget": ("forget steps load --dry-run", "forget steps '=report' --yes"),
    "_completion:completion": ("completion bash > ~/.local/share/bash-completion/completions/asyncsteps",),
    "_swf_doctor:doctor": ("swf doctor --domain prod --store s3://bucket/steps",),
    "_swf_execution:follow": ("swf follow nightly-42 --domain prod",),
    "_swf_execution:history": ("swf history nightly-42 --domain prod --json",),
}
"""The examples of a command, by where it is, without the name of the command."""


def epilogue(where: str) -> str:
    """The end of a command's help."""
    return "\n".join(["Examples:", *(f"  asyncsteps {example}" for example in EXAMPLES[where])])
