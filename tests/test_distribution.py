"""What is handed on: the source distribution, and the README as a package index shows it."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

import asyncsteps

ROOT = Path(asyncsteps.__file__).parent.parent
LINK = re.compile(r"\[[^\]]+\]\(([^)]+)\)")


def hatch() -> dict[str, Any]:
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    tool: dict[str, Any] = pyproject["tool"]["hatch"]
    return tool


def paths_named_in(document: str) -> set[str]:
    """The files and folders of the repository that a document links to, writes as code, or has make use."""
    text = (ROOT / document).read_text(encoding="utf-8")
    linked = {target.partition("#")[0] for target in LINK.findall(text) if "://" not in target} - {""}
    assert all((ROOT / target).exists() for target in linked), f"{document} links to what is not there: {linked}"
    coded = {word for span in re.findall(r"`([^`\n]+)`", text) for word in span.split() if word.strip("/.")}
    versioned = {name for name in coded if not name.startswith((".venv", "dist")) and (ROOT / name).exists()}
    return linked | versioned | {"Makefile", "constraints.txt"}


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md"])
def test_the_sdist_holds_all_that_a_document_names(document: str) -> None:
    included = [Path(pattern.lstrip("/")) for pattern in hatch()["build"]["targets"]["sdist"]["include"]]
    always = Path("pyproject.toml")
    for name in paths_named_in(document):
        path = Path(name)
        assert {path, *path.parents} & {*included, always}, f"{document} names {name}, which the sdist lacks"
    assert all((ROOT / path).exists() for path in included)


def test_on_a_package_index_no_link_of_the_readme_is_relative() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for each in hatch()["metadata"]["hooks"]["fancy-pypi-readme"]["substitutions"]:
        text = re.sub(each["pattern"], each["replacement"], text)
    targets = LINK.findall(text)
    assert targets
    assert all(target.startswith("https://") for target in targets), targets
    assert "contributing (`CONTRIBUTING.md`)" in text


def test_make_help_lists_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text()
    (phony,) = re.findall(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)
    described = re.findall(r"^([a-z-]+):.*## \S", makefile, re.MULTILINE)
    assert sorted(described) == sorted(phony.split())
    assert ".DEFAULT_GOAL := help" in makefile
