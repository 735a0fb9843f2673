"""The example of two lines: it finds a rate, draws the curve, and training with the rate gets somewhere."""

import re
from pathlib import Path

from subprocesses import run_forked

EXAMPLE = Path(__file__).parents[2] / "examples" / "find_lr.py"


def test_it_finds_a_rate_draws_it_and_trains(tmp_path: Path) -> None:
    run = run_forked([str(EXAMPLE), str(tmp_path / "lr.png")], cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    rate = re.search(r"learning rate ([\d.e-]+): ", run.stdout)
    accuracy = re.search(r"test accuracy ([\d.]+)", run.stdout)
    assert rate
    assert accuracy
    assert 1e-3 < float(rate[1]) < 1
    assert float(accuracy[1]) > 0.9
    assert (tmp_path / "lr.png").read_bytes().startswith(b"\x89PNG")
