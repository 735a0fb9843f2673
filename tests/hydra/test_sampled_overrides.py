"""Sampled overrides: what Hydra's grammar offers is understood, and numbers come back as they went."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st

from lightning_tricks.hydra.sampled_overrides import read_overrides, write_overrides
from lightning_tricks.sweeps.search_space import Choice, Interval


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers())
def test_a_number_is_read_back_exactly_as_it_was_drawn(number: float) -> None:
    (text,) = write_overrides({"+model.lr": number})
    value = OverridesParser.create().parse_override(text).value()
    assert value == number
    assert type(value) is type(number)


@pytest.mark.parametrize(
    ("text", "parameter"),
    [
        ("tag(log, interval(1e-5, 1))", Interval(1e-5, 1.0, "log")),
        ("tag(log1m,interval(0.5,0.99))", Interval(0.5, 0.99, "log1m")),
        ("interval(-1, 1)", Interval(-1.0, 1.0)),
        ("int(interval(16, 256))", Interval(16, 256, whole=True)),
        ("tag(log, int(interval(16, 256)))", Interval(16, 256, "log", whole=True)),
        ("range(0, 6, 2)", Choice(("0", "2", "4"))),
        ("choice(sgd, adam)", Choice(("sgd", "adam"))),
        ("shuffle(3, 1, 2)", Choice(("3", "1", "2"))),
        ("[],[cosine_decay,z_clip]", Choice(("[]", "[cosine_decay,z_clip]"))),
        ("'a b',null", Choice(("'a b'", "null"))),
    ],
)
def test_what_is_drawn_is_told_from_the_text(text: str, parameter: object) -> None:
    found = read_overrides([f"key={text}", "~gone", "+epochs=3"])
    assert found.space == {"key": parameter}
    assert found.fixed == ["~gone", "+epochs=3"]


def test_the_later_of_two_counts_whatever_kinds_they_are() -> None:
    found = read_overrides(["lr=0.1,1", "width=8", "lr=0.3", "width=int(interval(4, 8))"])
    assert found.fixed == ["lr=0.3"]
    assert list(found.space) == ["width"]


@pytest.mark.parametrize("text", ["tag(lgo, interval(0.1, 1))", "tag(log, choice(1, 2))", "range(5, 1)"])
def test_a_tag_that_is_unknown_or_out_of_place_is_refused_by_name(text: str) -> None:
    with pytest.raises(ValueError, match="`lr=" + text.split("(")[0]):
        read_overrides([f"lr={text}"])
