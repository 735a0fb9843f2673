"""The pages say what is: their options and files exist, their Python runs."""

import re
from pathlib import Path

import pytest

import lightning_tricks

ROOT = Path(__file__).parents[1]
CONF = Path(lightning_tricks.__file__).parent / "conf"
PAGES = [*sorted((ROOT / "docs").glob("*.md")), CONF.parent / "templates" / "project" / "README.md"]


def name_of(page: Path) -> str:
    return page.stem


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_option_that_is_named_exists(page: Path) -> None:
    text = page.read_text()
    for group, value in re.findall(r"(tricks|lt_strategy|hydra/callbacks)(?:@[\w.]+)?=(\[[\w,.]+\]|\w+)", text):
        for name in filter(lambda item: re.fullmatch(r"\w+", item), value.strip("[]").split(",")):
            assert (CONF / group / f"{name}.yaml").exists(), f"{page.name}: {group}={value}"
    for names in re.findall(r"LIGHTNING_TRICKS=([\w,]+)", text):
        for name in names.split(","):
            assert (CONF / "tricks" / f"{name}.yaml").exists(), f"{page.name}: {names}"
    for name in re.findall(r"lightning_tricks\.([A-Z]\w+)", text):
        assert name in lightning_tricks.__all__, f"{page.name}: {name}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_file_that_is_linked_or_run_exists(page: Path) -> None:
    text = page.read_text()
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        assert link.startswith("http") or (page.parent / link).exists(), f"{page.name}: {link}"
    for path in re.findall(r"python ((?:tests|examples|benchmarks)/\S+\.py)", text):
        assert (ROOT / path).exists(), f"{page.name}: {path}"


def test_the_notebooks_lines_make_callbacks() -> None:
    text = (ROOT / "docs" / "doors.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    space: dict[str, object] = {}
    exec(code, space)
    assert [type(callback).__name__ for callback in space["callbacks"]] == ["OneCycle", "GradientClipping"]  # type: ignore[attr-defined]
