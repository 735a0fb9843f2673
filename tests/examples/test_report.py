"""The example of the report: a healthy run and a sick one, with pages that a first page links."""

import re
from pathlib import Path

from subprocesses import run_forked

EXAMPLE = Path(__file__).parents[2] / "examples" / "report.py"


def test_both_runs_have_pages_and_the_sick_one_has_findings(tmp_path: Path) -> None:  # two trainings: several seconds
    run = run_forked([str(EXAMPLE), "out"], cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    healthy, _, sick = run.stdout.partition("sick:")
    assert "completed" in healthy
    assert "dead-relu" not in healthy
    assert {"ACT003", "DAT001"} <= set(re.findall(r"[A-Z]{3}[0-9]{3}", sick))
    index = tmp_path / "out" / "index.html"
    links = re.findall(r'href="([^"]+)"', index.read_text())
    assert links == ["healthy/report.html", "sick/report.html", "comparison.html"]
    assert all((index.parent / link).read_text().startswith("<!doctype html>") for link in links)
