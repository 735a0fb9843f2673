"""A walk through the README and the pages: each `lightning-tricks` command that needs no run, in an empty folder."""

import re
import shlex
from pathlib import Path

import pytest

from lightning_tricks.cli.main import main

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
NEEDS = ("pkg.module:callable", "doctor project", "compare multirun")
"""Commands on something that an empty folder does not have."""


def commands() -> list[str]:
    found: dict[str, None] = {}
    for page in PAGES:
        text = page.read_text().replace("\\\n", " ")
        blocks = "\n".join(re.findall(r"```bash\n(.*?)```", text, flags=re.DOTALL))
        lines = [line for line in blocks.splitlines() if line.startswith("lightning-tricks ")]
        inline = re.findall(r"`(lightning-tricks [^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
        found |= dict.fromkeys(" ".join(line.partition(" #")[0].split()) for line in [*lines, *inline])
    complete = [line for line in found if not re.search(r"\b[A-Z]{2,}\b", line)]
    return [line for line in complete if not any(need in line for need in NEEDS)]


@pytest.mark.parametrize("command", commands())
def test_a_command_that_a_page_names_works(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = shlex.split(command)[1:]
    if words == ["control"]:
        assert main(words) == 2
        assert "No run with LiveControl is training in" in capsys.readouterr().err
        return
    is_only_named = len(words) == 1 and words != ["list"]
    if "--help" in words or is_only_named:
        with pytest.raises(SystemExit) as end:
            main(words)
        captured = capsys.readouterr()
        assert (end.value.code == 0) is not is_only_named
        assert f"usage: lightning-tricks {words[0]}" in captured.out + captured.err
        return
    assert main(words) == 0
    captured = capsys.readouterr()
    assert captured.out
    assert captured.err == ""
