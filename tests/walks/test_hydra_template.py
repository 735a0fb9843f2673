"""A walk through docs/hydra-template.md: its commands, literally, in a project that knows nothing of tricks."""

import re
import shlex
import shutil
from pathlib import Path

import pytest
from subprocesses import Completed, import_paths, run_forked

HERE = Path(__file__).parent
PAGE = (HERE.parents[1] / "docs" / "hydra-template.md").read_text()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The project, in a folder of its own."""
    shutil.copytree(HERE / "template", tmp_path / "project" / "src")
    return tmp_path / "project"


def commands() -> list[list[str]]:
    """What the page has a person type, without what pip does."""
    text = "\n".join(re.findall(r"```bash\n(.*?)```", PAGE, flags=re.DOTALL)).replace("\\\n", " ")
    return [shlex.split(line) for line in text.splitlines() if line.startswith("python ")]


def typed(words: list[str], project: Path) -> Completed:
    return run_forked(words[1:], cwd=project, environment=import_paths())


def test_two_overrides_bring_tricks_into_the_project(project: Path) -> None:
    run = typed(commands()[0], project)
    assert run.returncode == 0, run.stderr
    names, rate = (project / "logs" / "run" / "seen.txt").read_text().splitlines()
    assert "CosineDecay GradientClipping" in names
    assert float(rate) < 0.01
    assert "merged over" not in run.stderr
    assert "Adding 1 callbacks" not in run.stdout + run.stderr


def test_the_projects_scheduler_is_named_where_it_stays(project: Path) -> None:
    run = typed(commands()[0][:-1], project)
    assert run.returncode == 1
    assert "(ReduceLROnPlateau), and CosineDecay would write the same learning rates" in run.stderr


def test_what_is_kept_of_the_projects_early_stopping_is_kept_in_silence_and_else_it_is_named(project: Path) -> None:
    whole = next(words for words in commands() if "callbacks.early_stopping.monitor=val/acc" in words)
    run = typed(whole, project)
    assert run.returncode == 0, run.stderr
    assert "merged over" not in run.stderr
    run = typed(whole[:3], project)
    assert "merged over the application's own `callbacks.early_stopping`" in run.stderr
    assert "`monitor` is 'val_loss' and was 'val/acc'" in run.stderr
    assert "Did you mean `val/loss`?" in run.stderr, "after the sanity validation"
    assert run.returncode == 1


def test_a_selection_that_the_project_does_not_build_is_named_with_both_cures(project: Path) -> None:
    run = typed(["python", "src/train.py", "+tricks=[cosine_decay]"], project)
    assert run.returncode == 0, run.stderr
    assert "selects `tricks=[cosine_decay]`, but the Trainer has none of these callbacks" in run.stderr
    assert "+tricks@callbacks=[cosine_decay]" in run.stderr
