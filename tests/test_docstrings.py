"""Every example in a docstring runs."""

import doctest
import importlib
import pkgutil

import pytest
from lightning.pytorch import Trainer

import lightning_tricks

MODULES = [
    found.name
    for found in pkgutil.walk_packages(lightning_tricks.__path__, "lightning_tricks.")
    if not found.name.endswith("__main__")
]


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples_run(name: str) -> None:
    module = importlib.import_module(name)
    names = {"Trainer": Trainer}  # every example of a callback has one
    results = doctest.testmod(module, extraglobs=names, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert results.failed == 0, f"{results.failed} of {results.attempted} examples failed; see the output above"
