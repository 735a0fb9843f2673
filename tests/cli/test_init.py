"""`lightning-tricks init`: the project that it writes trains at once, and nothing is overwritten."""

from pathlib import Path

import pytest
from subprocesses import import_paths, run_forked

from hydra import compose, initialize_config_dir
from lightning_tricks import CosineDecay, EarlyStopping, GradientClipping, OneCycle, RunReport, auto_tricks
from lightning_tricks.cli.init import read_template
from lightning_tricks.cli.main import main
from lightning_tricks.hydra import instantiate_callbacks


def test_the_project_passes_its_own_test(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = tmp_path / "new" / "my_project"
    assert main(["init", str(project)]) == 0
    out = capsys.readouterr().out
    for path in ("train.py", "model.py", "data.py", "Makefile", ".gitignore", "conf/train.yaml", "tests/test_train.py"):
        assert (project / path).is_file()
        assert str(project / path) in out
    run = run_forked(["-m", "pytest", "-q", "tests"], cwd=project, environment=import_paths())
    assert run.returncode == 0, run.stdout
    run = run_forked(["train.py", "trainer.max_epochs=1"], cwd=project, environment=import_paths())
    said = [line for line in run.stderr.splitlines() if "Warning" in line or "is not empty" in line]
    said = [line for line in said if "LeafSpec" not in line]  # of torch's, in any training
    assert (run.returncode, said) == (0, [])


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("recipes=auto", {type(callback) for callback in auto_tricks()}),
        ("tricks=[one_cycle,gradient_clipping]", {OneCycle, GradientClipping}),
        ("recipes=default", {CosineDecay, EarlyStopping, GradientClipping, RunReport}),
    ],
)
def test_a_recipe_or_a_list_takes_the_place_of_the_projects_tricks(
    tmp_path: Path, override: str, expected: set[type], recwarn: pytest.WarningsRecorder
) -> None:
    main(["init", str(tmp_path)])
    with initialize_config_dir(str(tmp_path / "conf"), version_base="1.3"):
        found = instantiate_callbacks(compose("train", [override]).tricks)
    assert {type(callback) for callback in found} == expected
    assert not recwarn.list


def test_nothing_is_overwritten_or_written_beside_what_is_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "train.py").write_text("mine")
    (tmp_path / "notes.txt").write_text("mine too")
    assert main(["init", str(tmp_path)]) == 2
    assert f"nothing was written, because these files exist: {tmp_path / 'train.py'}" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.txt", "train.py"]
    (tmp_path / "train.py").unlink()
    assert main(["init", str(tmp_path)]) == 0
    assert (tmp_path / "notes.txt").read_text() == "mine too"


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert main(["init", str(tmp_path / "file" / "project")]) == 2
    assert "lightning-tricks init:" in capsys.readouterr().err


def test_the_template_is_small_and_whole() -> None:
    files = dict(read_template())
    assert {"train.py", "README.md", "conf/train.yaml"} <= {path.as_posix() for path in files}
    assert all(text.strip() for path, text in files.items() if path.name != "__init__.py")
    assert sum(len(text.splitlines()) for text in files.values()) < 250
    assert not [path for path in files if "__pycache__" in path.parts]
