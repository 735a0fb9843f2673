"""Sphinx parts: formulas as MathML, references by public names, and docstrings with their sections marked.

MathML needs neither a script nor a network, and screen readers can read it.
"""

import re
from importlib import import_module
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.errors import NoUri
from sphinx.util.docutils import SphinxTranslator

import lightning_tricks

_SECTION = re.compile(r"^(Use when|Where it acts|Interacts with|Shape):", re.MULTILINE)

_HELD: dict[str, list[str]] = {}
"""Docstrings of attributes, between two hooks."""


def visit_inline_math(writer: SphinxTranslator, node: nodes.math) -> None:
    """Write a formula within a line."""
    writer.body.append(convert(node.astext()))
    raise nodes.SkipNode


def visit_math_block(writer: SphinxTranslator, node: nodes.math_block) -> None:
    """Write a formula on its own lines, which scroll on a narrow screen."""
    writer.body.append(f'<div class="math" tabindex="0">{convert(node.astext(), display="block")}</div>\n')
    raise nodes.SkipNode


def resolve_public_name(app: Sphinx, env: Any, node: Any, contnode: Any) -> Any:
    """Resolve a reference by the name that is imported, or by the module that defines it.

    A reference to an object of another package, or to one of the library's private objects, becomes plain code; one to
    an object that does not exist is a warning of Sphinx.
    """
    if node.get("refdomain") != "py":
        return None
    if "refexplicit" not in node:  # an annotation in a signature
        raise NoUri
    domain, target = env.domains["py"], node["reftarget"].lstrip(".~")
    for name in _other_names(target):
        if name in domain.objects:
            entry = domain.objects[name]
            uri = app.builder.get_relative_uri(node["refdoc"], entry.docname)
            return nodes.reference("", "", contnode, internal=True, refuri=f"{uri}#{entry.node_id}", reftitle=name)
    home = lightning_tricks._HOMES.get(node.get("py:class") or "")
    if _exists(target, f"lightning_tricks.{home}" if home else node.get("py:module") or ""):
        raise NoUri
    return None


def _other_names(target: str) -> list[str]:
    short = target.rpartition(".")[2]
    home = lightning_tricks._HOMES.get(short)
    if home is None or not target.endswith((f"lightning_tricks.{short}", f"{home}.{short}", short)):
        return []
    return [f"lightning_tricks.{home}.{short}", f"lightning_tricks.{short}"]


def _exists(target: str, module: str) -> bool:
    """Return whether the name can be imported, as it is or from the module of the docstring."""
    for path in (target, f"{module}.{target}"):
        parts = path.split(".")
        for end in range(len(parts), 0, -1):
            try:
                value: Any = import_module(".".join(parts[:end]))
                for part in parts[end:]:
                    value = getattr(value, part)
            except (ImportError, AttributeError, ValueError):
                continue
            return True
    return False


def mark_sections(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Set the section titles of method cards in bold; the page of a trick shows its example in tabs instead."""
    text = _SECTION.sub(r"**\1:**", "\n".join(lines))
    if what == "class" and re.fullmatch(r"lightning_tricks\.[A-Z]\w+", name):
        text = re.sub(r"^(\.\. rubric:: Examples?|Examples?:)\n(\n|[ >].*\n)*", "", text, flags=re.MULTILINE)
    lines[:] = text.split("\n")
    if what in ("attribute", "data", "property"):
        _HELD[name] = lines[:]
        lines[:] = []  # napoleon would take the words before a colon on the first line for a type


def restore_attributes(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Restore the docstrings that napoleon must not read."""
    lines[:] = _HELD.pop(name, lines)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register all parts."""
    app.add_html_math_renderer("mathml", (visit_inline_math, None), (visit_math_block, None))  # type: ignore[arg-type]
    app.connect("missing-reference", resolve_public_name)
    app.connect("autodoc-process-docstring", mark_sections, priority=100)  # before napoleon reads the sections
    app.connect("autodoc-process-docstring", restore_attributes, priority=900)  # after it
    return {"parallel_read_safe": True, "parallel_write_safe": True}
