"""The doctor in CI: the action, the hook of pre-commit and the page say what the command does."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import nn

from lightning_tricks import diagnose
from lightning_tricks.cli.main import main

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "doctor-ci.md").read_text()
MODEL = """
from torch import nn

def make():
    return nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.9), nn.Linear(4, 1))
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a model, and a `lightning-tricks` on the path that is this one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.py").write_text(MODEL)
    command = tmp_path / "bin" / "lightning-tricks"
    command.parent.mkdir()
    run = "import sys; from lightning_tricks.cli.main import main; sys.exit(main(sys.argv[1:]))"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{run}" "$@"\n')
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{command.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    monkeypatch.delenv("GITHUB_WORKSPACE", raising=False)
    return tmp_path


def run_action(project: Path, **inputs: str) -> subprocess.CompletedProcess[str]:
    """Run the step of the action as a runner does: inputs in the environment, bash with -eo pipefail."""
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    assert action["runs"]["using"] == "composite"
    (step,) = action["runs"]["steps"]
    given = {name: declared.get("default") for name, declared in action["inputs"].items()}
    given |= {name.replace("_", "-"): value for name, value in inputs.items()}
    names = {variable: re.fullmatch(r"\$\{\{ inputs\.([\w-]+) \}\}", text)[1] for variable, text in step["env"].items()}  # type: ignore[index]
    assert set(names.values()) == set(given)
    environment = os.environ | {variable: given[name] for variable, name in names.items()}
    line = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
    return subprocess.run(line, cwd=project, env=environment, capture_output=True, text=True)


def test_the_action_annotates_and_fails_where_it_is_asked_to(project: Path) -> None:
    failed = run_action(project, target="model.py:make", fail_on="warning")
    assert failed.returncode == 1, failed.stderr
    assert "::warning file=model.py,title=PLC005" in failed.stdout
    others = {"fail_on": "warning", "ignore": "PLC005", "select": "PLC,OPT"}
    assert run_action(project, target="model.py:make", **others).returncode == 0


def test_the_action_writes_sarif_against_a_baseline(project: Path) -> None:
    assert main(["doctor", "model.py:make", "--baseline", "base.json", "--update-baseline"]) == 0
    inputs = {"fail_on": "warning", "baseline": "base.json", "sarif": "doctor.sarif"}
    done = run_action(project, target="model.py:make", **inputs)
    assert done.returncode == 0, done.stderr
    assert '"baselineState": "unchanged"' in (project / "doctor.sarif").read_text()


def test_the_hook_of_pre_commit_runs_the_command_and_fails_with_it(project: Path) -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert (hook["id"], hook["language"], hook["pass_filenames"]) == ("lightning-tricks-doctor", "system", False)
    line = [*hook["entry"].split(), "model.py:make", "--fail-on", "warning"]
    assert subprocess.run(line, cwd=project, capture_output=True).returncode == 1


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)


def test_the_pages_yaml_names_the_actions_inputs_and_the_hook() -> None:
    inputs = yaml.safe_load((ROOT / "action.yml").read_text())["inputs"]
    steps: list[dict[str, Any]] = []
    for block in blocks("yaml"):
        content = yaml.safe_load(block)
        steps += (
            content["jobs"]["doctor"]["steps"] if "jobs" in content else content if isinstance(content, list) else []
        )
    ours = [step for step in steps if "lightning-tricks@" in step.get("uses", "")]
    assert len(ours) == 2
    assert all(set(step["with"]) <= set(inputs) and "target" in step["with"] for step in ours)
    assert "id: lightning-tricks-doctor" in PAGE


def test_the_pages_options_exist(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["doctor", "--help"])
    shown = capsys.readouterr().out
    used = set(re.findall(r"(--[a-z][a-z-]+)", PAGE))
    assert {"--baseline", "--update-baseline", "--verbose", "--fail-on", "--format"} <= used
    assert all(option in shown for option in used), used


def test_the_pages_rule_settings_and_contracts_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rules = tmp_path / "tools" / "doctor_rules"
    rules.mkdir(parents=True)
    (code,) = [block for block in blocks("python") if "@rule" in block]
    (rules / "widths.py").write_text(code)
    settings = [block for block in blocks("toml") if "[tool.lightning-tricks" in block]
    (tmp_path / "pyproject.toml").write_text("\n".join(settings))
    model = nn.Sequential()
    model.add_module("backbone", nn.Linear(4, 8))
    model.add_module("head", nn.Linear(8, 3))
    report = diagnose(model, torch.randn(5, 4), select=["OWN", "CON"])
    found = [(finding.code, finding.where) for finding in report.findings]
    assert ("OWN001", "head") in found
    assert ("OWN001", "backbone") not in found
    assert {"CON001", "CON002"} <= {code for code, _ in found}
    assert not [note for note in report.notes if "could not be loaded" in note]


def test_the_pages_contracts_in_python_are_the_ones_that_diagnose_takes() -> None:
    (code,) = [block for block in blocks("python") if "contracts=" in block]
    net = nn.Sequential(nn.Linear(4, 10), nn.Sigmoid())
    net.add_module("backbone", nn.Identity())
    space: dict[str, Any] = {"model": net, "batch": torch.randn(5, 4)}
    exec(code, space)
    outcomes = {outcome.code: outcome.status for outcome in space["report"].outcomes if outcome.code.startswith("CON")}
    assert outcomes == {"CON001": "found", "CON002": "passed", "CON003": "passed"}
