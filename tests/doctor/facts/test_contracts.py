"""Contracts: what can be stated, and what is refused with the value."""

from typing import Any

import pytest

from lightning_tricks import Contracts
from lightning_tricks.doctor.facts.plain import from_plain, to_plain


def test_what_is_stated_is_kept_as_tuples_and_goes_through_json() -> None:
    contracts = Contracts(frozen=["a.*"], output_shape=[None, "N", 3], output_range=[0, 1.5])
    assert (contracts.frozen, contracts.output_shape, contracts.output_range) == (("a.*",), (None, "N", 3), (0, 1.5))
    assert contracts.stated == ("frozen", "output_shape", "output_range")
    assert from_plain(Contracts, to_plain(contracts)) == contracts


def test_one_pattern_alone_is_a_list_of_one_and_a_scalar_output_has_the_empty_shape() -> None:
    assert Contracts(frozen="backbone.*").frozen == ("backbone.*",)
    assert Contracts().stated == ()
    assert Contracts(output_shape=()).stated == ("output_shape",)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"frozen": [3]}, TypeError, r"`frozen` must be a list of patterns such as 'backbone.\*', got \[3\]"),
        ({"frozen": [""]}, TypeError, "`frozen` must be a list of patterns"),
        ({"output_shape": 3}, TypeError, "`output_shape` must be a list or tuple, got 3"),
        ({"output_shape": "N"}, TypeError, "`output_shape` must be a list or tuple, got 'N'"),
        ({"output_shape": (1.5,)}, TypeError, "`output_shape` must hold whole numbers, names and None, got 1.5"),
        (
            {"output_shape": (-1,)},
            ValueError,
            "`output_shape` must hold sizes of at least 0, got -1; a name allows",
        ),
        ({"output_range": (0,)}, TypeError, r"`output_range` must hold two numbers, got \(0,\)"),
        ({"output_range": ("a", 1)}, TypeError, "`output_range` must hold two numbers"),
        (
            {"output_range": (1, 0)},
            ValueError,
            r"The first number of `output_range` must be at most the second, got \(1, 0\)",
        ),
        ({"output_range": (float("nan"), 0)}, ValueError, "`output_range` must be at most the second"),
    ],
)
def test_what_cannot_be_stated_is_refused_with_the_value(arguments: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        Contracts(**arguments)
