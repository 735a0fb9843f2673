"""lightning-tricks control: it finds the file of a living run, writes what the callback reads, and refuses the rest."""

import os
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from lightning.pytorch import Callback
from tiny import fit

from lightning_tricks import LiveControl
from lightning_tricks.cli.main import main
from lightning_tricks.engine.control.control_file import parse_order
from lightning_tricks.engine.control.run_marker import RunMarker


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    """The control file of a run that continues: its logs are in one folder, its Hydra job in another."""
    marker = RunMarker(str(tmp_path / "logs" / "version_0" / "control.yaml"), [str(tmp_path / "outputs" / "17-05-00")])
    yield Path(marker.path)
    marker.release()


@pytest.mark.parametrize("run", ["logs", "logs/version_0", "logs/version_0/control.yaml", ".", "outputs/17-05-00"])
def test_a_run_is_found_by_its_folders_by_one_above_them_and_by_its_file(run: str, file: Path) -> None:
    Path("outputs/17-05-00").mkdir(parents=True)
    assert main(["control", run, "lr=x0.5"]) == 0
    assert parse_order(file.read_text())["lr"] == "x0.5"


def test_the_run_below_the_current_folder_need_not_be_named(file: Path) -> None:
    assert main(["control", "stop=true"]) == 0
    assert parse_order(file.read_text())["stop"] is True


def test_each_order_is_a_new_one_and_replaces_the_file_as_a_whole(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["control", "logs", "lr=x0.5", "stop=true"]) == 0
    first, inode = parse_order(file.read_text()), file.stat().st_ino
    assert main(["control", str(file), "lr=x0.5", "stop=true"]) == 0
    second = parse_order(file.read_text())
    assert first.pop("id") != second.pop("id")
    assert first == second == {"lr": "x0.5", "stop": True}
    assert file.stat().st_ino != inode
    assert sorted(path.name for path in file.parent.iterdir()) == [".control.yaml.running", "control.yaml"]
    assert file.stat().st_mode & stat.S_IRUSR
    out = capsys.readouterr().out
    assert f"{file}: lr: x0.5, stop: true, id: order-" in out
    assert "replaces: lr: x0.5 stop: true id: order-" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["{run}/nowhere", "lr=x0.5"], "No run with LiveControl is training in {run}/nowhere. Runs below the current"),
        (["{run}/empty", "lr=x0.5"], "{run}/logs/version_0/control.yaml  (process "),
        (["{run}/empty/control.yaml", "lr=x0.5"], "No run with LiveControl is training in {run}/empty/control.yaml."),
        (["{run}", "lr=half"], "`lr` must be a number > 0, or x and a number > 0 (x0.5 halves it), got 'half'."),
        (["{run}", "lr"], "`lr` is not of the form KEY=VALUE"),
        (["{run}", "momentum=0.9"], "`momentum` is not an order; the orders are lr, stop, checkpoint, validate, id."),
        (["{run}", "stop=1"], "`stop` must be true or false, got '1'"),
        (["{run}", "lr=1", "lr=2"], "`lr` is given twice"),
        (["{run}/empty"], "No run with LiveControl is training in {run}/empty."),
    ],
)
@pytest.mark.usefixtures("file")
def test_what_cannot_be_done_ends_with_status_2_and_writes_nothing(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    assert main(["control", *(word.format(run=tmp_path) for word in words)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("lightning-tricks control: ")
    assert message.format(run=tmp_path) in captured.err
    assert not list(tmp_path.rglob("control.yaml"))


def test_several_runs_are_listed_and_none_is_written_to(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = RunMarker(str(file.parent.with_name("version_1") / "control.yaml"))
    assert main(["control", "logs", "stop=true"]) == 2
    said = capsys.readouterr().err
    assert "There are 2 runs in logs; name one of them:" in said
    assert str(file) in said
    assert other.path in said
    assert not file.exists()
    assert main(["control", "logs"]) == 0
    listed = capsys.readouterr().out.splitlines()
    other.release()
    assert [line.split()[0] for line in listed] == [str(file), other.path]


def test_a_reader_that_holds_the_file_open_delays_an_order_and_does_not_lose_it(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On Windows a file that is open cannot be replaced."""
    replace, refusals = os.replace, [PermissionError(), PermissionError()]

    def sometimes(path: Path, target: Path) -> None:
        if refusals:
            raise refusals.pop()
        replace(path, target)

    monkeypatch.setattr(os, "replace", sometimes)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    assert main(["control", "lr=x0.5"]) == 0
    assert parse_order(file.read_text())["lr"] == "x0.5"
    refusals += [PermissionError("held open")] * 100
    assert main(["control", "lr=x0.1"]) == 2
    assert parse_order(file.read_text())["lr"] == "x0.5"
    assert len(list(file.parent.iterdir())) == 2


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
    assert main(["control", str(tmp_path), "lr=x0.5"]) == 2, "the run is over"


@pytest.mark.usefixtures("file")
def test_the_command_loads_neither_torch_nor_lightning(tmp_path: Path) -> None:
    code = (
        f"import sys; from lightning_tricks.cli.main import main; main(['control', {str(tmp_path)!r}, 'lr=x2']);"
        "print([name for name in ('torch', 'lightning') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.endswith("[]\n")
