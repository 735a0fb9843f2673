"""The fenced blocks of the pages, and the commands that a reader types into a shell."""

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEMPLATE = ROOT / "src" / "lightning_tricks" / "templates" / "project"
_FENCE = re.compile(r"^( *)```([^\n`]*)\n(.*?)^\1```$", flags=re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page; `line` is that of its fence."""

    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line} ({self.language or 'no language'})"

    @property
    def file(self) -> str | None:
        """The path in a first line such as `# project/checks.py`: the block is that file of the reader's project."""
        found = re.match(r"# (\S+/\S+\.\w+)\n", self.text)
        return found[1] if found else None


def written_pages() -> list[Path]:
    """The pages in the root and in `docs`, and the README of the project that `init` writes."""
    first = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")]
    return [*first, *sorted((ROOT / "docs").rglob("*.md")), TEMPLATE / "README.md"]


def blocks_of(page: Path, *languages: str) -> list[Block]:
    """The blocks of a page in these languages; all blocks, if none is given."""
    text = page.read_text()
    found = [
        Block(page, text.count("\n", 0, fence.start()) + 1, fence[2], textwrap.dedent(fence[3]))
        for fence in _FENCE.finditer(text)
    ]
    return [block for block in found if not languages or block.language in languages]


def commands_of(text: str) -> Iterator[str]:
    r"""The commands of a shell block: continued lines are joined, comments and redirections left out.

    >>> list(commands_of("#!/bin/bash\na\\\nb '# c'   # d\nmake x > y  # z\n"))
    ["a b '# c'", 'make x']
    """
    for line in text.replace("\\\n", " ").splitlines():
        blotted = re.sub(r"'[^']*'|\"[^\"]*\"", lambda quoted: "_" * len(quoted[0]), line)
        for ending in (r"(^|\s+)#.*$", r"\s+>\s*\S+$"):
            blotted = re.sub(ending, "", blotted)
        if blotted.strip():
            yield line[: len(blotted)].strip()
