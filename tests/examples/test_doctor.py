"""The example of the doctor: it finds the faults, writes a page, and the fixed model is healthy and better."""

import re
from pathlib import Path

from subprocesses import run_forked

EXAMPLE = Path(__file__).parents[2] / "examples" / "doctor.py"


def test_it_finds_the_faults_and_the_fixed_model_has_none(tmp_path: Path) -> None:
    run = run_forked([str(EXAMPLE), str(tmp_path / "page.html")], cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    before, after = run.stdout.split("The same report as HTML")
    for code in ("LOS001", "OPT009", "PLC001", "PLC005"):
        assert code in before
        assert code not in after
    assert "Fixed: healthy" in after
    scores = re.search(r"([\d.]+) with the faults, ([\d.]+) fixed", after)
    assert scores
    assert float(scores[1]) + 0.2 < float(scores[2])
    assert (tmp_path / "page.html").read_text(encoding="utf-8").startswith("<!doctype html>")
