"""The project's own settings: taken over from the nearest `pyproject.toml` that has them, beneath what a call says."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import fit
from torch import nn

from lightning_tricks import Contracts, Doctor
from lightning_tricks.doctor.judging.diagnose import diagnose
from lightning_tricks.doctor.judging.project import plan_checks, read_project

MODEL = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.6), nn.Linear(4, 1))


def write(text: str, folder: str = ".") -> Path:
    file = Path(folder) / "pyproject.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def severity_of_dropout(**arguments) -> str | None:
    found = [finding for finding in diagnose(MODEL, **arguments).findings if finding.code == "PLC005"]
    return found[0].severity if found else None


def test_options_of_the_project_change_a_threshold_and_those_of_a_call_change_it_again() -> None:
    assert severity_of_dropout() == "info"
    write("[tool.lightning-tricks.doctor.options.PLC005]\nlimit = 0.55\n")
    assert severity_of_dropout() == "warning"
    assert severity_of_dropout(options={"dropout-p-out-of-range": {"limit": 0.7}}) == "info"
    assert severity_of_dropout(options={"PLC005": {"high": 0.65, "limit": 0.7}}) is None


def test_select_of_a_call_takes_the_place_of_the_projects_and_ignore_comes_on_top() -> None:
    write('[tool.lightning-tricks.doctor]\nselect = ["OPT"]\nignore = ["lr-out-of-range"]\n')

    def codes(**arguments) -> set[str]:
        return {rule.code for rule in plan_checks(**arguments).rules if rule.family != "DOC"}

    assert "OPT001" not in codes()
    assert {code[:3] for code in codes()} == {"OPT"}
    assert {code[:3] for code in codes(select=["PLC"])} == {"PLC"}
    assert "OPT003" not in codes(ignore=["OPT003"])
    assert "OPT001" not in codes(select=["OPT001", "PLC"])


def test_contracts_of_the_project_are_checked_and_those_of_a_call_take_their_place() -> None:
    write(
        '[tool.lightning-tricks.doctor.contracts]\nfrozen = ["0"]\noutput_shape = ["N", 2]\noutput_range = [100, 200]\n'
    )
    batch = torch.randn(4, 4)

    def codes(**arguments: Any) -> list[str]:
        return [finding.code for finding in diagnose(MODEL, batch, select=["CON"], **arguments).findings]

    assert codes() == ["CON001", "CON002", "CON003"]
    assert codes(contracts=Contracts(output_shape=["N", 1])) == []


def test_rules_on_contracts_that_were_not_stated_are_not_among_the_rules() -> None:
    assert {code for code in diagnose(MODEL).checked if code.startswith("CON")} == set()
    stated = diagnose(MODEL, contracts=Contracts(output_range=(0, 1)))
    assert [code for code in stated.checked if code.startswith("CON")] == ["CON003"]
    (outcome,) = [each for each in stated.outcomes if each.code == "CON003"]
    assert (outcome.status, outcome.detail) == ("not checked", "no batch was given")


def test_contracts_of_the_project_are_checked_at_the_start_of_a_fit() -> None:
    write('[tool.lightning-tricks.doctor.contracts]\nfrozen = ["body.*"]\n')
    doctor = Doctor(select=["CON"])
    fit(doctor, max_epochs=1)
    assert doctor.report is not None
    assert {finding.code for finding in doctor.report.findings} == {"CON001"}


def test_the_nearest_file_with_the_table_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    outer = Path.cwd() / "pyproject.toml"
    write('[tool.lightning-tricks.doctor]\nignore = ["PLC005"]\n')
    write("[project]\nname = 'inner'\n", "inner/deep")
    monkeypatch.chdir("inner/deep")
    assert read_project().file == outer.resolve()
    assert severity_of_dropout() is None


def test_without_the_table_nothing_is_said() -> None:
    write("[project]\nname = 'mine'\n")
    assert read_project().file is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[tool.lightning-tricks.doctor\n", "is not valid TOML: .*line 1"),
        ("[tool.lightning-tricks.doctor]\nslect = ['PLC']\n", "unknown key 'slect'. Did you mean select?"),
        ("[tool.lightning-tricks.doctor]\nselect = 'PLC'\n", "`select` must be a list .*, got 'PLC'"),
        ("[tool.lightning-tricks]\ndoctor = 1\n", "must be a table, got 1"),
        ("[tool.lightning-tricks.doctor]\noptions = []\n", "`options` must be a table of rules"),
        ("[tool.lightning-tricks.doctor]\nignore = ['PLC05']\n", "'PLC05' is not a rule. Did you mean PLC005"),
        ("[tool.lightning-tricks.doctor.options.PLC005]\nhihg = 1.0\n", "'hihg' is not an option. Did you mean high"),
        ("[tool.lightning-tricks.doctor.options.PLC005]\nhigh = 'a'\n", "must be of type float, got 'a'"),
        ("[tool.lightning-tricks.doctor.options]\nPLC005 = 0.7\n", "must be a mapping"),
        ("[tool.lightning-tricks.doctor]\ncontracts = 3\n", "`contracts` must be a table, got 3"),
        (
            "[tool.lightning-tricks.doctor.contracts]\nfroze = []\n",
            "unknown contract 'froze'. Available contracts: frozen",
        ),
        (
            "[tool.lightning-tricks.doctor.contracts]\noutput_range = [1, 0]\n",
            "`output_range` must be at most the second",
        ),
    ],
)
def test_a_slip_in_the_file_is_named_with_the_file(text: str, message: str) -> None:
    write(text)
    with pytest.raises(ValueError, match=message) as error:
        diagnose(MODEL)
    assert "pyproject.toml" in str(error.value)


def test_a_slip_in_a_call_does_not_name_the_file() -> None:
    write("[tool.lightning-tricks.doctor]\n")
    with pytest.raises(ValueError, match="must be of type float") as error:
        diagnose(MODEL, options={"PLC005": {"high": True}})
    assert "pyproject.toml" not in str(error.value)
