"""The site: built with warnings as errors, readable from a disk without any network."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "_ext"))

import resetsgd

project = "resetsgd"
author = copyright = "The resetsgd developers"
release = version = resetsgd.__version__

extensions = [
    "sphinx.ext.autodoc",
    "numpydoc",
    "myst_parser",
    "sphinx_design",
    "api_pages",
    "study_pages",
    "gallery_pages",
    "mathml",
]
exclude_patterns = ["_build", "_ext"]
default_role = "literal"
toc_object_entries_show_parents = "hide"
nitpicky = True
nitpick_ignore_regex = [
    (r"py:attr", r".*"),  # attributes are listed in tables, which are no link targets
    (r"py:class", r"resetsgd\..*\._\w+"),  # a private base has no page
    (r"py:.*", r"(?!resetsgd\b)[a-z_]+\..*"),  # what other packages define
]

autodoc_default_options = {"no-value": True}
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # types stand in the docstrings, in words and with their dimensions
autodoc_class_signature = "mixed"
autodoc_inherit_docstrings = True
numpydoc_show_class_members = False  # the members follow, each with its own docstring
numpydoc_xref_param_type = False

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath", "attrs_block"]
myst_heading_anchors = 3

html_theme = "pydata_sphinx_theme"
html_title = "resetsgd"
html_static_path = ["_static"]
html_css_files = ["resetsgd.css"]
html_favicon = "_static/mark.svg"
html_show_sourcelink = False
html_copy_source = False
# Only rooms with pages of their own have a list of them.
html_sidebars = {page: [] for page in ("*",)} | {
    room: ["sidebar-nav-bs"] for room in ("api/**", "gallery/**", "studies/**")
}
html_theme_options = {
    "logo": {
        "text": "resetsgd",
        "image_light": "_static/mark.svg",
        "image_dark": "_static/mark.svg",
        "alt_text": "resetsgd: start page",
    },
    "show_prev_next": True,
    "navigation_with_keys": False,
    "header_links_before_dropdown": 6,
    "show_toc_level": 2,
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": {"**": ["page-toc"], "index": []},
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
