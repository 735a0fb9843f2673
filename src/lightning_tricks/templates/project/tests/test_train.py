"""Train for a few epochs from the command line, in a temporary folder."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_it_learns(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "train.py"), "trainer.max_epochs=5", f"hydra.run.dir={tmp_path}"]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    found = re.search(r"test_accuracy\D+([0-9.]+)", run.stdout)
    assert found, run.stdout
    assert float(found[1]) > 0.8
