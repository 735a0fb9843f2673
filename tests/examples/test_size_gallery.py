"""The gallery draws the three pictures of the page on sizes from real runs."""

from pathlib import Path

from subprocesses import run_forked

EXAMPLE = Path(__file__).parents[2] / "examples" / "size_gallery.py"


def test_it_draws_batch_sizes_capacity_and_noise_scale(tmp_path: Path) -> None:
    run = run_forked([str(EXAMPLE), str(tmp_path), "8s", "1"], cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert "capacity: Size(units=" in run.stdout
    assert "noise scale: epoch 0: " in run.stdout
    pictures = sorted(tmp_path.glob("*.png"))
    assert [path.name for path in pictures] == ["sizes_batch.png", "sizes_capacity.png", "sizes_noise_scale.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in pictures)
