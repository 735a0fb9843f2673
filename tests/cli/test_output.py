"""Output: a pipe that closes and an encoding that lacks a character end no command in a traceback."""

import subprocess
import sys

import pytest
from subprocesses import import_paths, run_forked

PREVIEW = ["preview", "tricks=[one_cycle]", "--epochs", "4", "--steps-per-epoch", "100"]
COMMAND = [sys.executable, "-c", "import sys; from lightning_tricks.cli.main import main; sys.exit(main(sys.argv[1:]))"]


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
@pytest.mark.parametrize("words", [PREVIEW, ["list", "rules"], ["explain", "one_cycle"]], ids=lambda words: words[0])
def test_every_encoding_gets_what_it_can_show(words: list[str], encoding: str) -> None:
    environment = import_paths() | {"PYTHONIOENCODING": encoding}
    run = run_forked(["-m", "lightning_tricks", *words], environment=environment, encoding=encoding)
    assert run.returncode == 0, run.stderr
    assert "Traceback" not in run.stderr
    text = run.stdout
    if words is PREVIEW:
        assert ("@" in text) is (encoding != "utf-8")
        assert ("█" in text) is (encoding == "utf-8")


def test_a_reader_that_leaves_is_no_error() -> None:
    for words in (["list", "rules"], ["explain", "one_cycle"]):
        run = subprocess.Popen([*COMMAND, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert run.stdout is not None
        assert run.stderr is not None
        run.stdout.close()
        said = run.stderr.read()
        assert (run.wait(), said) == (141, b"")


def test_the_help_has_the_exit_statuses() -> None:
    run = subprocess.run([*COMMAND, "--help"], capture_output=True, text=True)
    assert "exit status: 0 success, 1 negative result" in " ".join(run.stdout.split())
