"""Close names: what is offered for a misspelt name, in which order, and when nothing is."""

import pytest

from lightning_tricks.core.close_names import close_names, did_you_mean

KNOWN = ["cosine_decay", "CosineDecay", "one_cycle", "PLC001", "PLC004", "PLC005", "PLC014"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cosine_dekay", ["cosine_decay", "CosineDecay"]),
        ("COSINEDECAY", ["CosineDecay", "cosine_decay"]),
        ("plc05", ["PLC005", "PLC001", "PLC004"]),
        ("PLC0O4", ["PLC004", "PLC014", "PLC001"]),
        ("unlike", []),
        ("", []),
    ],
)
def test_at_most_three_names_are_offered_the_most_similar_first(name: str, expected: list[str]) -> None:
    assert close_names(name, KNOWN) == expected


def test_a_higher_cutoff_offers_fewer_names() -> None:
    assert close_names("cycle", KNOWN) == ["one_cycle"]
    assert close_names("cycle", KNOWN, cutoff=0.9) == []


def test_the_question_is_empty_without_names() -> None:
    assert did_you_mean([]) == ""
    assert did_you_mean(name for name in ("a", "b")) == " Did you mean a or b?"
