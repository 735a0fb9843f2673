"""The faulty example has the eight faults that it names and no other; the fixed one has none, and learns."""

import re
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
FAULTS = {"DAT001", "DAT002", "DAT005", "INI001", "LOS001", "OPT001", "OPT004", "PLC001"}


@pytest.mark.parametrize(("name", "faults"), [("eight_faults", FAULTS), ("eight_faults_fixed", set())])
def test_the_doctor_finds_what_is_wrong_and_nothing_else(name: str, faults: set[str], capsys) -> None:
    spec = spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    module.main()
    report, _, accuracy = capsys.readouterr().out.rpartition("accuracy")
    findings = report.partition("Follows from")[0].partition("Not checked")[0]
    assert set(re.findall(r"\b[A-Z]{3}\d{3}\b", findings)) == faults
    assert (float(accuracy) > 0.9) == (not faults)
