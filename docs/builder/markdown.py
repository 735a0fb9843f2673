"""Markdown: the pieces that generated pages are made of, in MyST syntax."""

import re
import textwrap
from collections.abc import Iterable, Sequence

WIDTH = 88
"""Characters per line of code that the theme shows."""


def directive(name: str, body: str, argument: str = "", options: Sequence[str] = ()) -> str:
    """Return a directive whose fence is longer than any fence in its body.

    Example:
        >>> print(directive("note", "Text.", options=[":class: wide"]))
        :::{note}
        :class: wide
        Text.
        :::
    """
    inner = max((len(found) for found in re.findall(r"^(:{3,})", body, re.MULTILINE)), default=2)
    fence = ":" * (inner + 1)
    head = f"{fence}{{{name}}} {argument}".rstrip()
    return "\n".join([head, *options, body, fence])


def code(language: str, text: str) -> str:
    """Return a block of code."""
    return f"```{language}\n{text.rstrip()}\n```"


def printed_text(text: str) -> str:
    """Return what a program printed; a long line becomes several, indented like the first and four more."""

    def wrapped(line: str) -> str:
        indent = " " * (len(line) - len(line.lstrip()) + 4)
        return textwrap.fill(line, WIDTH, subsequent_indent=indent) if len(line) > WIDTH else line

    return code("text", "\n".join(map(wrapped, text.rstrip().split("\n"))))


def tabs(items: Iterable[tuple[str, str]]) -> str:
    """Return a set of tabs from pairs of title and content."""
    return directive("tab-set", "\n".join(directive("tab-item", text, title) for title, text in items))


def cards(items: Iterable[tuple[str, str, str]], columns: str = "1 2 2 3") -> str:
    """Return a grid of cards from triples of title, page and text."""
    parts = [
        directive("grid-item-card", text, title, [f":link: {page}", ":link-type: doc"]) for title, page, text in items
    ]
    return directive("grid", "\n".join(parts), columns, [":gutter: 2"])


def figure(file: str, alt: str, caption: str = "") -> str:
    """Return a picture with its text alternative and a caption."""
    return directive("figure", caption, file, [f":alt: {alt}", ":class: drawn", ""])


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(cell.replace("\n", " ") for cell in line) + " |" for line in lines)


def toctree(pages: Iterable[str], *options: str) -> str:
    """Return a table of contents that only the sidebar shows."""
    return "\n".join(["```{toctree}", ":hidden:", *options, "", *pages, "```"])


def from_docstring(text: str) -> str:
    """Return docstring text, in which reStructuredText marks code and references, as Markdown.

    Example:
        >>> from_docstring("See :func:`~a.b` and ``t_0`` < 1.")
        'See `b` and `t_0` < 1.'
    """
    text = re.sub(r":\w+:`~(?:[\w.]*\.)?(\w+)`", r"`\1`", text)
    return re.sub(r":\w+:`([^`]+)`", r"`\1`", text).replace("``", "`")
