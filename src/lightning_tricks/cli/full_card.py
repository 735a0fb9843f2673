"""Full card: a method card in which each reference to another card is followed by that card's section."""

import re
from collections.abc import Callable

_SECTION = re.compile(r"^([A-Z][A-Za-z ]+):(?:\s|$)")
_REFERENCE = re.compile(r"as (?:for )?`?([A-Z]\w+)`?(?=[\s,.;:]|$)")


def full_card(docstring: str, read_docstring: Callable[[str], str]) -> str:
    r"""Return a self-contained card.

    Args:
        docstring: a card as plain text.
        read_docstring: returns the card of a class; empty if there is none.

    Example:
        >>> cards = {"LRSchedule": "Multiply.\n\nWhere it acts: right after each step."}
        >>> print(full_card("Decay.\n\nWhere it acts: as LRSchedule, too.", lambda name: cards.get(name, "")))
        Decay.
        <BLANKLINE>
        Where it acts: as LRSchedule, too.
        <BLANKLINE>
            LRSchedule: right after each step.
    """
    blocks = []
    for block in docstring.split("\n\n"):
        blocks.append(block)
        section = _SECTION.match(block)
        reference = _REFERENCE.match(block[section.end() :].lstrip()) if section else None
        if section and reference:
            name = reference[1]
            found = _section_of(full_card(read_docstring(name), read_docstring), section[1])
            blocks += [_indent(f"{name}: {found}")] if found else []
    return "\n\n".join(blocks)


def _section_of(card: str, title: str) -> str:
    """Return the text of a section, including its indented lines."""
    lines: list[str] = []
    for block in card.split("\n\n"):
        section = _SECTION.match(block)
        if section and section[1] == title:
            lines.append(block[section.end() :].strip())
        elif lines and block.startswith(" "):
            lines.append(block)
        elif lines:
            break
    return "\n\n".join(lines)


def _indent(text: str) -> str:
    return "\n".join(f"    {line.strip()}" if line else "" for line in text.splitlines())
