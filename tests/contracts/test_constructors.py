"""Every public constructor, by being public: any arguments give an object or an error that names one of them."""

import ast
import doctest
import inspect
import math
import time
import tracemalloc
from decimal import Decimal
from fractions import Fraction
from functools import cache
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lightning.fabric.utilities.exceptions import MisconfigurationException
from tricks import TINY, public_callbacks, required_arguments

import lightning_tricks as lt

EXAMPLES = 130
"""For each of about thirty constructors; up to four calls each: ten thousand in all."""
SCHEDULES = [
    name
    for name in lt.__all__
    if inspect.isfunction(function := getattr(lt, name))
    and inspect.signature(function).return_annotation is lt.Schedule
    and name not in ("join", "product")  # of other schedules
]
NAMES = [*public_callbacks(), *SCHEDULES]
TIMES = (0, 0.3, 1, 5, 7.5, 1e4, 1e9)


class Unequal:
    """A value that cannot be compared."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        raise ArithmeticError("not comparable")


NUMBERS = st.one_of(
    st.floats(),
    st.integers(),
    st.integers(-3, 12),
    st.floats(0, 1),
    st.sampled_from([10**12, 10**400, -(10**400), 10**5000, 1e300, 1e-320, math.nan, math.inf, -math.inf]),
    st.sampled_from([Fraction(1, 3), Fraction(10**400), Decimal("0.5"), 1j, np.float32(0.5), np.int64(3), np.bool_(1)]),
)
DURATIONS = st.one_of(
    st.builds("{}{}".format, st.floats(0, 1e3), st.sampled_from(["ep", "st", "dur", "", "h"])),
    st.sampled_from(
        ["3ep", "500st", "0.1dur", "-1st", "1e400st", "1e999999999dur", "1e-999999999ep", "9" * 5000 + "st"]
    ),
)
TEXTS = st.one_of(
    DURATIONS,
    st.text(max_size=5),
    st.sampled_from(["auto", "minimum", "max", "inf", "body.*", "[", "PLC", "PLC001:x", "x" * 10_000]),
)
PLAIN = st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS)
STRANGE = st.one_of(
    st.sampled_from([b"x", range(3), range(10**12), object(), int, len, ..., slice(1), Path("x"), Unequal()]),
    st.sampled_from([lambda: 1, lambda t: t, np.array([1, 2]), np.array(0.5), torch.tensor(0.5), torch.ones(2)]),
    st.sampled_from(
        [{"PLC005": {"high": math.nan}}, {"PLC005": 1}, {"PLC005": {"nope": 1}}, {1: 2}, {1}, [0.5] * 1000]
    ),
    st.builds(iter, st.just([1, 2])),
)
VALUES = st.one_of(
    PLAIN,
    STRANGE,
    st.lists(PLAIN, max_size=4),
    st.lists(PLAIN, max_size=4).map(tuple),
    st.lists(st.lists(TEXTS, max_size=2), max_size=3),
    st.dictionaries(TEXTS, PLAIN, max_size=2),
)


def parameters(name: str) -> list[str]:
    return list(inspect.signature(getattr(lt, name)).parameters)


@cache
def required(name: str) -> dict[str, Any]:
    """The arguments without a default: a callback's as its tiny instance has them, a function's as in its example."""
    if name in TINY:
        return required_arguments(name)
    signature = inspect.signature(getattr(lt, name))
    examples = doctest.DocTestParser().get_examples(inspect.getdoc(getattr(lt, name)) or "")
    nodes = [node for example in examples for node in ast.walk(ast.parse(example.source))]
    shown = next(node for node in nodes if isinstance(node, ast.Call) and ast.unparse(node.func) == name)
    given = [ast.literal_eval(value) for value in shown.args]
    named = {word.arg: ast.literal_eval(word.value) for word in shown.keywords if word.arg}
    arguments = signature.bind(*given, **named).arguments
    return {key: value for key, value in arguments.items() if signature.parameters[key].default is inspect._empty}


def call(name: str, arguments: dict[str, Any]) -> Any:
    """Return what is made, or the error that names an argument; any other error is raised."""
    try:
        return getattr(lt, name)(**{**required(name), **arguments})
    except (ValueError, TypeError, MisconfigurationException) as error:
        message = str(error)
        assert any(f"`{parameter}" in message for parameter in parameters(name)), message
        assert len(message) < 1000
        return error


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_arguments_give_an_object_or_an_error_that_names_one(name: str, data: st.DataObject) -> None:
    given = data.draw(st.lists(st.sampled_from(parameters(name)), min_size=1, max_size=3, unique=True))
    arguments = {parameter: data.draw(VALUES, label=parameter) for parameter in given}
    alone = [{parameter: value} for parameter, value in arguments.items()] if len(arguments) > 1 else []
    for these in (arguments, *alone):
        before = time.process_time()
        made = call(name, these)
        if name in SCHEDULES and not isinstance(made, Exception):
            for value in made.values(TIMES):
                assert isinstance(value, Real)
                assert value >= 0
        assert time.process_time() - before < 1


@pytest.mark.parametrize(
    ("name", "argument", "value"),
    [
        ("AutoClip", "window", 10**12),
        ("LRFinder", "num_steps", 10**12),
        ("LRFinder", "at_epochs", range(10**12)),
        ("CosineWarmRestarts", "t_mult", 1e300),
        ("CosineDecay", "decay_steps", "1e999999999dur"),
        ("CosineDecay", "warmup", 10**400),
        ("CosineDecay", "decay_steps", 1e-320),
        ("Doctor", "select", range(10**12)),
        ("DiscriminativeLR", "groups", range(10**12)),
    ],
)
def test_a_size_that_cannot_be_meant_is_refused_at_once_and_without_memory(
    name: str, argument: str, value: Any
) -> None:
    tracemalloc.start()
    before = time.process_time()
    with pytest.raises((ValueError, TypeError), match=f"`{argument}`"):
        getattr(lt, name)(**{argument: value})
    seconds, (_, peak) = time.process_time() - before, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert seconds < 0.5
    assert peak < 2**20
