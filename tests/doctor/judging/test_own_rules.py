"""Rules of one's own: found by entry point and in a folder, judged like the others, harmless when they are broken."""

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from torch import nn

from lightning_tricks import diagnose
from lightning_tricks.cli.main import main
from lightning_tricks.doctor.judging.own_rules import load_own_rules
from lightning_tricks.doctor.judging.report import Report

MODEL = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 1))
HEAD = """
from lightning_tricks.doctor.rules.rule import Observed, Symptom, rule
from lightning_tricks.doctor.rules.plc.dropout_rates import dropout_p_out_of_range
"""
WIDE = (
    HEAD
    + '''
@rule("OWN001", "warning", kind="static")
def layer_too_narrow(evidence, *, least=8):
    """A layer that is narrower than this team allows.

    Options: ``least``.
    """
    for module in evidence.model.modules:
        if module.settings.get("out_features", least) < least:
            yield Symptom(module.path, f"{module.settings['out_features']} features, fewer than {least}", "widen it")
'''
)

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write files of rules into the folder that the project's settings name."""
    monkeypatch.chdir(tmp_path)

    def write(**files: str) -> Path:
        folder = tmp_path / "rules"
        folder.mkdir(exist_ok=True)
        (tmp_path / "pyproject.toml").write_text('[tool.lightning-tricks.doctor]\nrules = "rules"\n')
        for name, text in files.items():
            (folder / f"{name}.py").write_text(text)
        return folder

    return write


def found(report: Report) -> list[tuple[str, str]]:
    return [(finding.code, finding.where) for finding in report.findings]


def test_rules_of_the_projects_folder_are_judged_with_their_options(write: Write) -> None:
    write(widths=WIDE)
    assert {("OWN001", "0"), ("OWN001", "1")} <= set(found(diagnose(MODEL)))
    assert found(diagnose(MODEL, select=["OWN"], options={"OWN001": {"least": 2}})) == [("OWN001", "1")]
    assert ("OWN001", "0") not in found(diagnose(MODEL, ignore=["layer-too-narrow"]))
    assert ("OWN001", "0") not in found(diagnose(MODEL, select=["PLC"]))


def test_rules_are_explained_listed_and_known_in_comments(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    write(widths=WIDE)
    assert main(["explain", "OWN001"]) == 0
    assert "A layer that is narrower than this team allows." in capsys.readouterr().out
    assert main(["list", "rules"]) == 0
    assert "OWN001  layer-too-narrow" in capsys.readouterr().out

    class Ignored(nn.Module):  # lt: ignore[OWN001]
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(1, 1)

    assert found(diagnose(Ignored(), select=["OWN001", "DOC002"])) == []


def test_a_changed_file_is_read_again(write: Write) -> None:
    folder = write(widths=WIDE)
    assert found(diagnose(MODEL, select=["OWN001"]))
    (folder / "widths.py").write_text(WIDE.replace("least=8", "least=1") + "\n# changed\n")
    assert not found(diagnose(MODEL, select=["OWN001"]))


def test_a_file_with_an_underscore_is_a_neighbour_and_no_file_of_rules(write: Write) -> None:
    write(_limits="LEAST = 8\n", widths="from _limits import LEAST\n" + WIDE.replace("least=8", "least=LEAST"))
    report = diagnose(MODEL, select=["OWN001"])
    assert ("OWN001", "0") in found(report)
    assert not [note for note in report.notes if "_limits" in note]
    sys.modules.pop("_limits")


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("1 / 0", "Rules of .*broken.py could not be loaded: ZeroDivisionError: division by zero."),
        ("import nowhere_to_be_found", "could not be loaded: ModuleNotFoundError"),
        ("def f(:", "could not be loaded: SyntaxError"),
        (
            WIDE.replace("OWN001", "mine"),
            "Rule mine of .*broken.py is not loaded: a code must consist of capital letters and digits",
        ),
        (
            WIDE.replace('kind="static"', 'kind="static", needs=("moon",)'),
            "it needs moon, which the evidence does not contain",
        ),
    ],
)
def test_a_rule_that_cannot_be_loaded_is_a_note_and_the_others_are_checked(write: Write, text: str, note: str) -> None:
    write(broken=text, widths=WIDE.replace("OWN001", "OWN002"))
    report = diagnose(MODEL)
    assert ("OWN002", "0") in found(report)
    assert [line for line in report.notes if re.search(note, line)]


def test_a_rule_that_raises_is_not_checked_and_the_others_are(write: Write) -> None:
    write(
        widths=WIDE, broken=WIDE.replace("OWN001", "OWN009").replace("layer_too", "much_too").replace("<", "+ None <")
    )
    report = diagnose(MODEL)
    assert ("OWN001", "0") in found(report)
    (outcome,) = [each for each in report.outcomes if each.code == "OWN009"]
    assert outcome.status == "not checked"
    assert outcome.detail.startswith("the rule raised TypeError")
    (note,) = [note for note in report.notes if note.startswith("Rule OWN009 failed: the rule raised TypeError")]
    assert "broken.py:12)" in note


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            ("OWN001", "PLC001"),
            r"Two rules have the code 'PLC001': dropout_before_batchnorm in .* and layer_too_narrow in ",
        ),
        (
            ("layer_too_narrow", "dropout_before_batchnorm"),
            r"Two rules have the name 'dropout-before-batchnorm'.*another n",
        ),
    ],
)
def test_two_rules_of_one_code_or_name_are_an_error_that_names_both(
    write: Write, change: tuple[str, str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(widths=WIDE.replace(*change)) / "widths.py"
    with pytest.raises(ValueError, match=message) as error:
        diagnose(MODEL)
    assert str(file) in str(error.value)
    (file.parents[1] / "model.py").write_text("from torch import nn\ndef make(): return nn.Linear(1, 1)\n")
    assert main(["doctor", "model.py:make"]) == 2
    assert re.search("Two rules have the (code|name) ", capsys.readouterr().err)


@pytest.mark.parametrize("rules", ['"nowhere"', "3"])
def test_a_folder_that_is_none_is_named_with_the_file(
    write: Write, rules: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write()
    Path("pyproject.toml").write_text(f"[tool.lightning-tricks.doctor]\nrules = {rules}\n")
    with pytest.raises(ValueError, match=r"pyproject.toml .*`rules` must be an existing folder relative to"):
        diagnose(MODEL)
    assert main(["list", "rules"]) == 2
    assert main(["explain", "PLC001"]) == 2
    assert capsys.readouterr().err.count("`rules` must be an existing folder") == 2


@pytest.mark.parametrize("value", ["team_rules", "team_rules:layer_too_narrow"])
def test_rules_of_installed_packages_are_found_by_their_entry_point(
    value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, value)
    (tmp_path / "team_rules.py").write_text(WIDE)
    monkeypatch.syspath_prepend(tmp_path)
    assert [rule.code for rule in load_own_rules().rules] == ["OWN001"]
    assert ("OWN001", "0") in found(diagnose(MODEL, select=["OWN"]))
    sys.modules.pop("team_rules")


def test_an_entry_point_that_cannot_be_loaded_is_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "team_rules_that_left:rules")
    monkeypatch.syspath_prepend(tmp_path)
    report = diagnose(MODEL)
    assert any(
        "entry point team (team_rules_that_left:rules) could not be loaded: Mod" in each for each in report.notes
    )


def install(folder: Path, value: str) -> None:
    info = folder / "team_rules-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: team-rules\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[lightning_tricks.rules]\nteam = {value}\n")


def test_what_an_own_rule_says_is_a_finding_with_its_code_name_and_severity(write: Write) -> None:
    write(widths=WIDE)
    (finding,) = [each for each in diagnose(MODEL, select=["OWN001"]).findings if each.where == "1"]
    assert (finding.code, finding.name, finding.severity) == ("OWN001", "layer-too-narrow", "warning")
    assert (finding.message, finding.try_next) == ("1 features, fewer than 8", "widen it")
