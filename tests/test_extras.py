"""Without an extra, everything else works, and what needs the extra names it."""

import re
import sys
from pathlib import Path

import pytest
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import OmegaConf
from subprocesses import import_paths, run_forked

import lightning_tricks
from lightning_tricks.cli.main import main
from lightning_tricks.reports.curves import new_figure

ROOT = Path(__file__).parents[1]
CONF = Path(lightning_tricks.__file__).parent / "conf"
WITHOUT_EXTRAS = """
import sys
names = ("matplotlib", "rich", "sklearn", "scipy", "jsonargparse", "pytorch_metric_learning", "optuna", "joblib")
for name in [*names, *(name for name in sys.modules if name.partition(".")[0] in names)]:
    sys.modules[name] = None
import lightning_tricks
from tiny import fit
from lightning_tricks.cli.main import main
tricks = [getattr(lightning_tricks, name) for name in lightning_tricks.__all__]
fit(lightning_tricks.CosineDecay(), lightning_tricks.Doctor(), lightning_tricks.RunReport())
assert main(["preview", "tricks=[one_cycle]", "--epochs", "2", "--steps-per-epoch", "3"]) == 0
"""


def test_the_page_lists_the_extras_of_a_user() -> None:
    page = (ROOT / "docs" / "compatibility.md").read_text()
    table = page.partition("## Extras\n")[2].partition("\n## ")[0]
    extras = (
        (ROOT / "pyproject.toml").read_text().partition("[project.optional-dependencies]\n")[2].partition("\n\n")[0]
    )
    declared = set(re.findall(r"^([\w-]+) = \[", extras, flags=re.MULTILINE))
    assert set(re.findall(r"^\| `([\w-]+)`", table, flags=re.MULTILINE)) == declared - {"test", "docs", "lint"}


def test_without_any_extra_all_names_load_and_a_fit_reports(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(WITHOUT_EXTRAS)
    done = run_forked(["program.py"], cwd=tmp_path, environment=import_paths())
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "report.html").is_file()


def without(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    """Make each import of a package fail, as if it were not installed."""
    for name in [package, *(name for name in sys.modules if name.startswith(f"{package}."))]:
        monkeypatch.setitem(sys.modules, name, None)


def test_figures_name_the_extra(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    without(monkeypatch, "matplotlib")
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'lightning-tricks\[plot\]'"):
        new_figure((1, 1))
    words = ["preview", "tricks=[one_cycle]", "--epochs", "2", "--steps-per-epoch", "3", "--plot", "lr.png"]
    assert main(words) == 2
    assert "pip install 'lightning-tricks[plot]'" in capsys.readouterr().err


def test_a_loss_of_another_package_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "pytorch_metric_learning")
    node = OmegaConf.load(CONF / "lt_loss" / "triplet.yaml")
    with pytest.raises(InstantiationException, match="pytorch_metric_learning"):
        instantiate(node.loss)


def test_init_prints_what_its_project_needs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "my_project"]) == 0
    assert "needs: pip install 'lightning-tricks[demo]'" in capsys.readouterr().out
