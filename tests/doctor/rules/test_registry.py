"""Rules are found by convention and chosen by code, prefix and name; slips of the pen are answered with the closest."""

import pytest

from lightning_tricks.doctor.judging.diagnose import diagnose
from lightning_tricks.doctor.rules.registry import all_rules, choose_rules, find_rule, options_by_code


def codes(**arguments: object) -> set[str]:
    return {rule.code for rule in choose_rules(**arguments) if rule.family != "DOC"}


def test_codes_prefixes_and_names_are_understood() -> None:
    assert codes(select=["PLC001"]) == {"PLC001"}
    assert codes(select=["dropout-before-batchnorm"]) == {"PLC001"}
    assert codes(select=["OPT"]) >= {"OPT004", "OPT009", "OPT011"}
    assert codes(select=["OPT"], ignore=["OPT004"]) == codes(select=["OPT"]) - {"OPT004"}
    assert codes() == {rule.code for rule in all_rules() if not rule.preview and rule.family != "DOC"}
    assert "BEH003" in codes(preview=True)


def test_a_model_that_raises_is_told_of_whatever_was_selected() -> None:
    assert "DOC001" in {rule.code for rule in choose_rules(["PLC001"])}
    assert "DOC001" not in {rule.code for rule in choose_rules(["PLC001"], ["DOC001"])}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"select": ["PLC0O1"]}, "`select`: 'PLC0O1' is not a rule. Did you mean PLC001"),
        ({"select": ["drop-before-batchnorm"]}, "dropout-before-batchnorm"),
        ({"ignore": ["plc001"]}, "`ignore`: 'plc001' is not a rule. Did you mean PLC001"),
        ({"options": {"PLC05": {}}}, "`options`: 'PLC05' is not a rule. Did you mean PLC005"),
        ({"options": {"PLC005": {"hgih": 0.6}}}, "'hgih' is not an option. Did you mean high"),
        ({"options": {"LOS001": {"low": 1}}}, "'low' is not an option. Available: none"),
    ],
)
def test_unknown_names_are_answered_with_the_closest(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        diagnose(None, **arguments)  # type: ignore[arg-type]


def test_options_are_kept_by_code_whichever_way_they_were_named() -> None:
    rule = find_rule("PLC005")
    given = {"dropout-p-out-of-range": {"high": 0.6}, "PLC005": {"low": 0.1}}
    assert options_by_code(given) == {"PLC005": {"high": 0.6, "low": 0.1}}
    assert rule.options["high"] == 0.5
