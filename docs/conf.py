"""Settings of the documentation site; ``make docs`` builds it, with warnings as errors.

The sources are read from the root of the repository, so that links between the README, SECURITY and the pages of
this folder lead to the same places here and where the files are shown as they are.
"""

import re
from importlib import import_module
from importlib.metadata import version as version_of
from types import FunctionType, ModuleType

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.logging import getLogger

project = "asyncsteps"
author = "The asyncsteps maintainers"
release = version = version_of("asyncsteps")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
root_doc = "docs/index"
include_patterns = ["docs/**", "README.md", "SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md"]
exclude_patterns = ["docs/_static"]
highlight_language = "text"

myst_heading_anchors = 4
default_role = "py:obj"
add_module_names = False
autodoc_class_signature = "mixed"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "show-inheritance": True}
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_attr_annotations = False

html_theme = "furo"
pygments_dark_style = "github-dark"
html_static_path = ["_static"]
html_css_files = ["wide.css"]
html_title = f"asyncsteps {version}"
html_copy_source = False
html_show_sourcelink = False
html_show_copyright = False

PUBLIC = [
    "asyncsteps",
    "asyncsteps.events",
    "asyncsteps.journal",
    "asyncsteps.otel",
    "asyncsteps.report",
    "asyncsteps.store",
    "asyncsteps.swf",
    "asyncsteps.testing",
]
"""The modules whose names are all on the pages of the API."""


def public() -> dict[str, object]:
    """Return all public values by their full names; the stores have theirs from `asyncsteps.store`."""
    stores = import_module("asyncsteps.store").__all__
    found = {f"{name}.{each}": getattr(import_module(name), each) for name in PUBLIC for each in dir_of(name)}
    return {name: each for name, each in found.items() if name not in {f"asyncsteps.{one}" for one in stores}}


def dir_of(module: str) -> list[str]:
    """Return the public names of a module but for modules, which have sections of their own."""
    names: list[str] = import_module(module).__all__
    return [each for each in names if not isinstance(getattr(import_module(module), each), ModuleType)]


def methods_of_private_bases(cls: type, classes: set[object]) -> list[str]:
    """Return the methods and properties that a public class has from bases of ours that are not public."""
    ours = [base for base in cls.__mro__[1:] if base.__module__.startswith("asyncsteps.")]
    return [
        name
        for name in dir(cls)
        if not name.startswith("_")
        and (owner := next((base for base in cls.__mro__ if name in vars(base)), None)) in ours
        and owner not in classes
        and isinstance(vars(owner)[name], FunctionType | property | classmethod | staticmethod)
    ]


def check_that_all_is_described(_app: Sphinx, env: BuildEnvironment) -> None:
    """Warn, which ends a strict build, of each public name and method that is on no page."""
    values = public()
    classes: set[object] = {each for each in values.values() if isinstance(each, type)}
    names = list(values)
    for name, value in values.items():
        if isinstance(value, type):
            names += [f"{name}.{method}" for method in methods_of_private_bases(value, classes)]
    for name in names:
        if name not in env.domains["py"].objects:
            getLogger(__name__).warning("%s is on no page of docs/api: has it a docstring?", name)


def mend_docstring(
    _app: Sphinx, what: str, _name: str, _object: object, _options: object, lines: list[str]
) -> None:
    """Link to pages; keep napoleon from taking what precedes a colon, in a property's docstring, for its type."""
    lines[:] = [re.sub(r"docs/([a-z-]+)\.md", r":doc:`/docs/\1`", line) for line in lines]
    if what in {"attribute", "data", "property"} and lines:
        lines[0] = lines[0].replace(": ", " \N{EN DASH} ", 1)


def leave_out_plain_bases(_app: Sphinx, page: nodes.document) -> None:
    """Leave out what says that a class is an object, or generic, or has a base that is not public."""
    for paragraph in list(page.findall(nodes.paragraph)):
        if paragraph.astext().startswith(
            (
                "Bases: object",
                "Bases: Generic",
                "Bases: Protocol",
                "Bases: BaseRun",
                "Bases: BaseStore",
                "Bases: _",
            )
        ):
            paragraph.parent.remove(paragraph)


def setup(app: Sphinx) -> None:
    """Mend what is shown, and check the pages when all have been read."""
    app.connect("doctree-read", leave_out_plain_bases)
    app.connect("autodoc-process-docstring", mend_docstring, priority=400)
    app.connect("env-check-consistency", check_that_all_is_described)
