"""The example finds a batch size for the CNN on digits and draws the trials."""

import re
from pathlib import Path

from subprocesses import run_forked

EXAMPLE = Path(__file__).parents[2] / "examples" / "find_batch_size.py"


def test_it_finds_a_size_and_draws_the_trials(tmp_path: Path) -> None:
    run = run_forked([str(EXAMPLE), str(tmp_path / "sizes.png"), "8s"], cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    found = re.search(r"batch size (\d+): `val_accuracy` goes from", run.stdout)
    assert found
    assert 16 <= int(found[1]) <= 512
    assert (tmp_path / "sizes.png").read_bytes().startswith(b"\x89PNG")
