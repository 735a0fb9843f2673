"""The gallery draws the three pictures of the page on sizes from real runs."""

import os
import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "examples" / "size_gallery.py"


def test_it_draws_batch_sizes_capacity_and_noise_scale(tmp_path: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(EXAMPLE), str(tmp_path), "8s", "1"]
    run = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=200)
    assert run.returncode == 0, run.stderr
    assert "capacity: Size(units=" in run.stdout
    assert "noise scale: epoch 0: " in run.stdout
    pictures = sorted(tmp_path.glob("*.png"))
    assert [path.name for path in pictures] == ["sizes_batch.png", "sizes_capacity.png", "sizes_noise_scale.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in pictures)
