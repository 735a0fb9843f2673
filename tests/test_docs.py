"""The pages say what is: their options and files exist, their Python runs."""

import re
from itertools import count
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from omegaconf import OmegaConf
from tiny import Net
from torch.utils.data import DataLoader, TensorDataset
from write_tables import render

import lightning_tricks

ROOT = Path(__file__).parents[1]
CONF = Path(lightning_tricks.__file__).parent / "conf"
TEMPLATE = CONF.parent / "templates" / "project" / "README.md"
FOLDERS = ("*.md", "guide/*.md", "coming-from/*.md", "decisions/*.md")
WRITTEN = [page for folder in FOLDERS for page in sorted((ROOT / "docs").glob(folder))]
PAGES = [*(ROOT / name for name in ("README.md", "CONTRIBUTING.md")), *WRITTEN, TEMPLATE]


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
            found = [group for group in ("tricks", "recipes") if (CONF / group / f"{name}.yaml").exists()]
            assert found, f"{page.name}: {names}"
    for name in re.findall(r"lightning_tricks\.([A-Z]\w+)", text):
        assert name in lightning_tricks.__all__, f"{page.name}: {name}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_file_that_is_linked_or_run_exists(page: Path) -> None:
    text = page.read_text()
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        assert link.startswith("http") or (page.parent / link).exists(), f"{page.name}: {link}"
    for path in re.findall(r"python ((?:tests|examples|benchmarks)/\S+\.py)", text):
        assert (ROOT / path).exists(), f"{page.name}: {path}"


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_linked_heading_exists(page: Path) -> None:
    for link, anchor in re.findall(r"\]\(([^)#:]*)#([^)]+)\)", page.read_text()):
        assert anchor in anchors(page.parent / link if link else page), f"{page.name}: {link}#{anchor}"


def test_the_table_of_rules_is_the_one_that_the_command_prints() -> None:
    assert render("docs/rules.md") == (ROOT / "docs" / "rules.md").read_text(), "run `make tables`"


def code_blocks(page: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", page.read_text(), flags=re.DOTALL)


def is_file(code: str) -> bool:
    """Whether a block is a file of the reader's project: it then begins with its path, and imports what is not here."""
    return re.match(r"# \S+/\S+\.py\n", code) is not None


class Data(L.LightningDataModule):
    """Sixty-four rows for `Net`, standing for the reader's data."""

    def __init__(self) -> None:
        super().__init__()
        x = torch.randn(64, 4, generator=torch.Generator().manual_seed(0))
        self.rows = TensorDataset(x, x.sum(1, keepdim=True).tanh())

    def train_dataloader(self) -> DataLoader:
        return DataLoader(self.rows, 32, shuffle=True)

    def val_dataloader(self) -> DataLoader:
        return DataLoader(self.rows, 32)


@pytest.mark.parametrize("page", [page for page in PAGES if code_blocks(page)], ids=name_of)
def test_python_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One block after the other, with a model, data and a configuration of the reader's."""
    quiet = {"accelerator": "cpu", "logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = L.Trainer

    def short(**arguments: Any) -> L.Trainer:
        """A silent Trainer for at most two epochs, as pages are about calls and not about results."""
        return trainer(**{**arguments, **quiet, "max_epochs": min(arguments.get("max_epochs", 2), 2)})

    monkeypatch.setattr(L, "Trainer", short)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    clock = count(step=0.1).__next__  # a tenth of a second at each look: a minute passes in no time
    monkeypatch.setattr("lightning_tricks.engine.trial.batch_size_search.perf_counter", clock)
    data = Data()
    space = {"model": Net(), "data": data, "batch": next(iter(data.val_dataloader())), "callbacks": []}
    space |= {"cfg": OmegaConf.create(), "instantiate_callbacks": lightning_tricks.instantiate_callbacks}
    for code in code_blocks(page):
        compiled = compile(code, page.name, "exec")
        if not is_file(code):
            exec(compiled, space)


def test_the_notebooks_lines_make_callbacks() -> None:
    (code,) = code_blocks(ROOT / "docs" / "entry-points.md")
    space: dict[str, object] = {}
    exec(code, space)
    assert [type(callback).__name__ for callback in space["callbacks"]] == ["OneCycle", "GradientClipping"]  # type: ignore[attr-defined]
