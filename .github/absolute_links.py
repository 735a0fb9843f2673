"""Make the relative links of a page absolute: `python absolute_links.py README.md REPOSITORY_URL TAG`.

A package index shows the README without the repository's files, so relative links and pictures would be broken there.
"""

import re
import sys
from pathlib import Path


def absolute_links(text: str, repository: str, tag: str) -> str:
    """Return Markdown whose relative links lead to files of the repository at a tag; pictures lead to their content.

    Example:
        >>> absolute_links("[a](docs/a.md#b) ![c](d.png) [e](https://f) [g](#h)", "https://x/y", "v1")
        '[a](https://x/y/blob/v1/docs/a.md#b) ![c](https://x/y/raw/v1/d.png) [e](https://f) [g](#h)'
    """

    def absolute(found: re.Match[str]) -> str:
        start, link = found[1], found[2]
        view = "raw" if start.startswith("!") else "blob"
        return f"{start}({repository}/{view}/{tag}/{link})"

    return re.sub(r"(!?\[[^\]]*\])\((?!https?:|#|mailto:)([^)]+)\)", absolute, text)


if __name__ == "__main__":
    page, repository, tag = sys.argv[1:]
    file = Path(page)
    file.write_text(absolute_links(file.read_text(encoding="utf-8"), repository, tag), encoding="utf-8")
