"""Docstrings: let a class inherit the descriptions of arguments that another class documents."""

import re
import textwrap
from collections.abc import Callable

_INHERITED = re.compile(r"^( *)(\w+(?:, \w+)*): as :class:`(\w+)`\.$", re.MULTILINE)


def inherit_arguments(docstring: str, docstring_of: Callable[[str], str]) -> str:
    r"""Replace a line such as ``a, b: as :class:`Other`.`` by the other class's entries for these arguments.

    Args:
        docstring: with any indentation.
        docstring_of: returns the docstring of a class by its name.

    Example:
        >>> other = "Args:\n    a: One.\n    b: Two."
        >>> inherit_arguments("b, a: as :class:`Other`.", lambda name: other)
        'b: Two.\na: One.'
    """

    def entries(match: re.Match[str]) -> str:
        indent, names, source = match.groups()
        found = [_entry(docstring_of(source), name) for name in names.split(", ")]
        return textwrap.indent("\n".join(found), indent)

    return _INHERITED.sub(entries, docstring)


def _entry(docstring: str, name: str) -> str:
    """Return the entry of one argument, without indentation."""
    match = re.search(rf"^( *){name}: .*(?:\n\1 +\S.*)*", docstring, re.MULTILINE)
    if match is None:
        raise LookupError(f"No argument `{name}` is documented in: {docstring.splitlines()[0]}")
    return textwrap.dedent(match[0])
