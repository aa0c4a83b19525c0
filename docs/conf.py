"""Settings of the documentation site; ``make docs`` builds it, with warnings as errors.

The sources are read from the root of the repository, so that links between the README, SECURITY and the pages of
this folder lead to the same places here and where the files are shown as they are.
"""

from importlib.metadata import version as version_of

project = "asyncsteps"
author = "The asyncsteps maintainers"
release = version = version_of("asyncsteps")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
root_doc = "docs/index"
include_patterns = ["docs/**", "README.md", "SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md"]
exclude_patterns = ["docs/_build"]

myst_heading_anchors = 4
default_role = "py:obj"
add_module_names = False
autodoc_class_signature = "separated"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "show-inheritance": True, "undoc-members": False}
napoleon_numpy_docstring = False
napoleon_use_ivar = True

html_theme = "furo"
html_title = f"asyncsteps {version}"
html_copy_source = False
html_show_sourcelink = False
