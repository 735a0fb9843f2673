"""State the URLs of the project: `python project_urls.py pyproject.toml REPOSITORY_URL [DOCUMENTATION_URL]`.

They depend on where a release is made. With the documentation's URL, the doctor refers to the pages of its rules.
"""

import json
import sys
from pathlib import Path


def with_urls(text: str, repository: str, documentation: str = "") -> str:
    r"""Return the content of a pyproject.toml with the table ``[project.urls]``; an empty URL is left out.

    Example:
        >>> print(with_urls("[project]\n", "https://x/y", "https://docs"))
        [project]
        <BLANKLINE>
        [project.urls]
        Repository = "https://x/y"
        Issues = "https://x/y/issues"
        Documentation = "https://docs"
        <BLANKLINE>
    """
    urls = {"Repository": repository, "Issues": f"{repository}/issues", "Documentation": documentation}
    lines = [f"{label} = {json.dumps(url)}" for label, url in urls.items() if url]
    return "\n".join([text, "[project.urls]", *lines, ""])


if __name__ == "__main__":
    file = Path(sys.argv[1])
    file.write_text(with_urls(file.read_text(encoding="utf-8"), *sys.argv[2:]), encoding="utf-8")
