"""lightning-tricks control: it finds the file of a run, writes what the callback reads, and refuses what it would."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from lightning.pytorch import Callback
from tiny import fit

from lightning_tricks import LiveControl
from lightning_tricks.cli.control import find_control_file
from lightning_tricks.cli.main import main
from lightning_tricks.engine.control.control_file import parse_order


def job(folder: Path, config: str, chdir: str = "false") -> Path:
    """What Hydra leaves behind of a job that was started in ``folder``."""
    out = folder / "outputs" / "17-05-00"
    (out / ".hydra").mkdir(parents=True)
    (out / ".hydra" / "config.yaml").write_text(config)
    (out / ".hydra" / "hydra.yaml").write_text(
        f"hydra:\n  job: {{chdir: {chdir}}}\n  runtime: {{cwd: {folder}, output_dir: /elsewhere}}\n"
        "  run: {dir: 'outputs/${now:%H-%M-%S}'}\n"
    )
    return out


LIVE = "tricks:\n  live_control: {_target_: lightning_tricks.LiveControl, path: "


@pytest.mark.parametrize(
    ("config", "chdir", "expected"),
    [
        (LIVE + "control.yaml}", "false", "control.yaml"),
        (LIVE + "wheel.yaml}", "true", "outputs/17-05-00/wheel.yaml"),
        (LIVE + "'${hydra:runtime.output_dir}/control.yaml'}", "null", "outputs/17-05-00/control.yaml"),
        (LIVE + "a.yaml}\ntrainer: {_target_: lightning.Trainer, default_root_dir: runs}", "false", "runs/a.yaml"),
        ("callbacks:\n- {_target_: lightning_tricks.LiveControl}\n", "false", "control.yaml"),
        (
            "out: '${hydra:runtime.output_dir}'\ntrainer: {_target_: lightning.Trainer, default_root_dir: '${out}'}\n"
            + LIVE
            + "control.yaml}",
            "null",
            "outputs/17-05-00/control.yaml",
        ),
    ],
)
def test_the_file_of_a_hydra_job_is_where_its_configuration_says(
    config: str, chdir: str, expected: str, tmp_path: Path
) -> None:
    assert find_control_file(job(tmp_path, config, chdir)) == tmp_path / expected


def test_of_another_run_it_is_in_its_root_or_the_file_itself(tmp_path: Path) -> None:
    assert find_control_file(tmp_path) == tmp_path / "control.yaml"
    assert find_control_file(tmp_path / "wheel.yaml") == tmp_path / "wheel.yaml"
    (tmp_path / "wheel").write_text("")
    assert find_control_file(tmp_path / "wheel") == tmp_path / "wheel"


def test_a_job_composed_without_one_is_said_so_and_may_have_one_from_its_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = job(tmp_path, "lr: 1\n")
    assert main(["control", str(out), "lr=x0.5"]) == 0
    assert (out / "control.yaml").is_file()
    assert "was composed without a LiveControl" in capsys.readouterr().err


def test_each_order_is_a_new_one_and_replaces_the_file_as_a_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "control.yaml"
    assert main(["control", str(tmp_path), "lr=x0.5", "stop=true"]) == 0
    first, inode = parse_order(file.read_text()), file.stat().st_ino
    assert main(["control", str(file), "lr=x0.5", "stop=true"]) == 0
    second = parse_order(file.read_text())
    assert first.pop("id") != second.pop("id")
    assert first == second == {"lr": "x0.5", "stop": True}
    assert file.stat().st_ino != inode
    assert os.listdir(tmp_path) == ["control.yaml"]
    assert file.stat().st_mode & stat.S_IRUSR
    out = capsys.readouterr().out
    assert f"{file}: lr: x0.5, stop: true, id: order-" in out
    assert "in place of: lr: x0.5 stop: true id: order-" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["{run}/nowhere", "lr=x0.5"], "There is no run"),
        (["{run}", "lr=half"], "`lr` must be a number > 0, or x and a number > 0 (x0.5 halves it), got 'half'."),
        (["{run}", "lr"], "`lr` is not of the form KEY=VALUE"),
        (["{run}", "momentum=0.9"], "`momentum` is no order; there are lr, stop, checkpoint, validate, id."),
        (["{run}", "stop=1"], "`stop` must be true or false, got '1'"),
        (["{run}", "lr=1", "lr=2"], "`lr` is given twice"),
        (["{run}/sweep", "lr=1"], "is a sweep of 2 jobs (0, 1 ...)"),
        (["{run}/odd", "lr=1"], "does not say where its control file is"),
    ],
)
def test_what_cannot_be_done_ends_with_status_2_and_writes_nothing(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in "01":
        (tmp_path / "sweep" / number / ".hydra").mkdir(parents=True)
    job(tmp_path / "b", LIVE + "'${mine:3}'}").rename(tmp_path / "odd")
    assert main(["control", *(word.format(run=tmp_path) for word in words)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("lightning-tricks control: ")
    assert message in captured.err
    assert not list(tmp_path.rglob("control.yaml"))


def test_a_run_obeys_the_command(tmp_path: Path) -> None:
    class Person(Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
            if trainer.global_step == 3:
                command = "import sys, time; from lightning_tricks.cli.main import main; s = main(sys.argv[1:]);"
                words = ["control", trainer.default_root_dir, "lr=x0.5", "stop=true"]
                subprocess.run([sys.executable, "-c", command + "time.sleep(0.65); sys.exit(s)", *words], check=True)

    live = LiveControl(every_n_steps=1)
    net = fit(live, Person(), default_root_dir=tmp_path)
    assert len(net.trace) == 4
    assert [(order["step"], order["content"]["lr"]) for order in live.applied] == [(4, "x0.5")]


def test_the_command_loads_neither_torch_nor_lightning(tmp_path: Path) -> None:
    code = (
        f"import sys; from lightning_tricks.cli.main import main; main(['control', {str(tmp_path)!r}, 'lr=x2']);"
        "print([name for name in ('torch', 'lightning') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.endswith("[]\n")
