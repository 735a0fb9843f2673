"""Each rule speaks of its sick patients and keeps quiet on the healthy ones."""

import pytest
from patient import Patient, all_patients

from lightning_tricks.doctor.judging.diagnose import diagnose
from lightning_tricks.doctor.judging.judge import judge
from lightning_tricks.doctor.judging.report import Report
from lightning_tricks.doctor.rules.registry import choose_rules

PATIENTS = all_patients()


def see(patient: Patient) -> Report:
    """Diagnose a patient; what is shown by evidence alone, a run's, is judged."""
    given = patient.build()
    if "evidence" in given:
        return judge(given["evidence"], choose_rules([patient.code], preview=True))
    return diagnose(**given, select=[patient.code], preview=True)


@pytest.mark.parametrize("patient", [patient for patient in PATIENTS if patient.is_sick], ids=lambda item: item.name)
def test_rule_speaks_of_a_sick_patient(patient: Patient) -> None:
    report = see(patient)
    found = [finding for finding in report.findings if finding.code == patient.code]
    assert found, str(report)
    for word in patient.says:
        assert any(word in finding.message for finding in found), str(report)
    assert patient.severity in (None, *(finding.severity for finding in found)), str(report)
    assert all(finding.try_next for finding in found)


@pytest.mark.parametrize(
    "patient", [patient for patient in PATIENTS if not patient.is_sick], ids=lambda item: item.name
)
def test_rule_keeps_quiet_on_a_healthy_patient(patient: Patient) -> None:
    report = see(patient)
    assert not report.findings, str(report)
    assert not any(patient.code in note for note in report.notes), f"it was not even checked: {report.notes}"
