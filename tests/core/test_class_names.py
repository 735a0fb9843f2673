"""Class names: an object is recognized by its class or any class above it, whoever defines it."""

import lightning.pytorch.callbacks
import pytest
import pytorch_lightning.callbacks

from lightning_tricks.core.class_names import is_instance_of


@pytest.mark.parametrize(
    "package", [lightning.pytorch.callbacks, pytorch_lightning.callbacks], ids=lambda m: m.__name__
)
def test_subclasses_of_both_packages_are_recognized_and_others_are_not(package: object) -> None:
    class Own(package.EarlyStopping):  # type: ignore[name-defined, misc]
        pass

    assert is_instance_of(Own(monitor="x"), "EarlyStopping")
    assert is_instance_of(Own(monitor="x"), "Timer", "Callback")
    assert not is_instance_of(Own(monitor="x"), "Timer", "Early")
    assert not is_instance_of(Own(monitor="x"))
