"""Every rule of the doctor's, by being one: its code, its name, its page, its patients, its remedies."""

import inspect
import re
from dataclasses import fields
from pathlib import Path

import pytest
from patient import all_patients

import lightning_tricks as lt
from lightning_tricks.cli.catalogue import read_cards
from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.rules.finding import SEVERITIES
from lightning_tricks.doctor.rules.registry import all_rules
from lightning_tricks.doctor.rules.rule import Rule, rule_of

RULES = all_rules()
FOLDER = Path(lt.__file__).parent / "doctor" / "rules"
PARTS = {field.name for field in fields(Evidence)}
SECTIONS = ("What it looks at:", "Why it matters:", "Options:", "Try:", "False alarms:", "References:")

each_rule = pytest.mark.parametrize("rule", RULES, ids=lambda item: item.code)


def test_no_code_and_no_name_is_given_twice() -> None:
    marks = re.findall(r"^@rule\(\s*\"(\w+)\"", "\n".join(file.read_text() for file in FOLDER.rglob("*.py")), re.M)
    assert sorted(marks) == [rule.code for rule in RULES], "the registry keeps the last of two with one code"
    assert len({rule.name for rule in RULES}) == len(RULES)


@each_rule
def test_it_is_marked_as_rules_are(rule: Rule) -> None:
    assert re.fullmatch(r"[A-Z]{3}\d{3}", rule.code)
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", rule.name)
    assert rule.severity in SEVERITIES
    assert rule.kind in ("static", "batch", "run")
    assert {need.partition(".")[0] for need in rule.needs} <= PARTS
    assert rule_of(rule.check) is rule


@each_rule
def test_its_code_leads_to_its_folder(rule: Rule) -> None:
    assert rule.check.__module__.split(".")[3] == rule.family.lower()


@each_rule
def test_its_docstring_is_a_full_page(rule: Rule) -> None:
    expected = [section for section in SECTIONS if section != "Options:" or rule.options]
    found = re.findall(r"^([A-Z][a-z ]+:)\s+\S", rule.page, re.MULTILINE)
    assert [section for section in found if section in SECTIONS] == expected
    assert 10 < len(rule.title) < 90
    assert "\n\n" in rule.page
    for option in rule.options:
        assert f"``{option}``" in rule.page, f"{rule.code} does not document `{option}`"


@each_rule
def test_it_has_sick_and_healthy_patients(rule: Rule) -> None:
    own = [patient for patient in all_patients() if patient.code == rule.code]
    assert any(patient.is_sick for patient in own), f"{rule.code} has no sick patient"
    assert any(not patient.is_sick for patient in own), f"{rule.code} has no healthy patient"


def test_every_patient_is_some_rules() -> None:
    assert {patient.code for patient in all_patients()} <= {rule.code for rule in RULES}


def test_every_option_that_is_tried_next_exists_and_can_be_pasted() -> None:
    """Remedies are commands, `tricks=[gradient_clipping]`; the doctor cannot import the callbacks to find out."""
    sources = [file.read_text() for file in FOLDER.rglob("*.py")]
    named = {
        name for text in sources for names in re.findall(r"tricks=\[([^\]]*)\]", text) for name in names.split(",")
    }
    assert named
    assert named <= {card.option for card in read_cards()}
    other_forms = [found for text in sources for found in re.findall(r"(?<!_)tricks[/.]\w+", text)]
    assert other_forms == [], "write tricks=[name]"


FOR_FEW_ROWS = {
    "DAT001": "normalize_inputs",
    "DAT009": "normalize_inputs",
    "INI001": "initialize_weights",
    "INI002": "initialize_weights",
    "INI003": "initialize_weights",
    "INI004": "initialize_weights",
    "INI005": "initialize_weights",
    "PLC005": "dropout_schedule",
    "PLC006": "weight_penalty",
    "PLC007": "dropout_schedule",
    "RUN006": "weight_penalty",
}


@pytest.mark.parametrize("code", FOR_FEW_ROWS)
def test_pages_and_findings_that_few_rows_lead_to_name_the_option_for_it(code: str) -> None:
    option = FOR_FEW_ROWS[code]
    rule = next(rule for rule in RULES if rule.code == code)
    options = {name for names in re.findall(r"tricks=\[([^\]]*)\]", rule.page) for name in names.split(",")}
    assert option in options
    module = Path(inspect.getfile(rule.check)).read_text()
    assert re.search(rf'"[^"\n]*tricks=\[[^\]]*{option}', module), "no finding names it"


FUNCTIONS = {
    "DAT008": ("class_weights", "focal_loss"),
    "DAT014": ("train_val_split",),
    "LOS004": ("suggest_loss",),
    "LOS009": ("LossBalancer",),
    "LOS011": ("suggest_loss",),
    "TRF001": ("cache_features",),
}


@pytest.mark.parametrize("code", FUNCTIONS)
def test_pages_and_findings_name_the_function_for_it(code: str) -> None:
    rule = next(rule for rule in RULES if rule.code == code)
    source = Path(inspect.getfile(rule.check)).read_text()
    for name in FUNCTIONS[code]:
        assert name in lt.__all__
        assert name in rule.page
        assert re.search(rf'"[^"\n]*lightning_tricks\.{name}', source), "no finding names it"


def test_every_recipe_that_is_tried_next_exists() -> None:
    named = {name for file in FOLDER.rglob("*.py") for name in re.findall(r"\+recipes=(\w+)", file.read_text())}
    assert named <= {file.stem for file in (FOLDER.parents[1] / "conf" / "recipes").glob("*.yaml")}
