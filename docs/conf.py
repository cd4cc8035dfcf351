"""How Sphinx builds these pages. Needs no network: `make docs`."""

import os
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS))  # `mathml`, an extension of ours
# Notebooks run in the Python that builds, whatever kernels a user has installed.
os.environ["JUPYTER_PATH"] = str(DOCS / "_jupyter")

project = "nap_optax"
author = "The nap_optax authors"
copyright = author
version = release = metadata.version("nap-optax")

extensions = [
    "mathml",
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
]
myst_enable_extensions = ["amsmath", "colon_fence", "dollarmath"]
myst_heading_anchors = 3
html_math_renderer = "mathml"

nb_execution_mode = "force"  # at every build: a page shows what its code does now
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_execution_show_tb = True

html_theme = "sphinx_book_theme"  # as optax, flax and jax
html_title = project
html_theme_options = {
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "navbar_persistent": [],  # the side bar has the search box
}
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
copybutton_prompt_text = r">>> |\.\.\. "
copybutton_prompt_is_regexp = True

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
# Names to show instead of the unions they stand for.
autodoc_type_aliases = {
    name: name for name in ("optax.Schedule", "optax.ScalarOrSchedule", "optax.Params")
}
autosummary_generate = False
# Attributes that a docstring describes, in its own words.
napoleon_use_ivar = True
napoleon_attr_annotations = False

# References to what other projects document: no inventories are downloaded.
nitpick_ignore_regex = [
    (r"py:.*", r"(jax|jnp|np|numpy|optax|collections|typing)\..*"),
    (r"py:class", "Baseline"),  # private: part of the detectors' states
    (r"py:.*", r"(Any|ValueError|None|bool|float|int|str|tuple)"),
]


def find_where_exported(app: Any, env: Any, node: Any, content: Any) -> Any:
    """Resolves a name of a docstring's own module that the package exports."""
    target = node.get("reftarget", "")
    if node.get("refdomain") != "py" or "." in target:
        return None
    return env.get_domain("py").resolve_xref(
        env, node["refdoc"], app.builder, "obj", f"{project}.{target}", node, content
    )


def setup(app: Any) -> None:
    """Sphinx calls this."""
    app.connect("missing-reference", find_where_exported)
