"""Read the test set: which of its rows are in the training and validation sets."""

from typing import Any

from lightning_tricks.doctor.facts.context_facts import RowsFacts
from lightning_tricks.doctor.reading.read_data import first_loader
from lightning_tricks.doctor.reading.read_datasets import read_datasets


def read_test_rows(train: Any, val: Any, test: Any) -> dict[str, RowsFacts]:
    """Return the rows that the test set shares with the training and the validation set, by the name of the set.

    Args:
        train: any loader that Lightning accepts, or None.
        val: likewise.
        test: likewise.
    """
    found = {}
    for name, loaders in (("training", train), ("validation", val)):
        loader = first_loader(loaders)
        facts = read_datasets(loader, first_loader(test)) if loader is not None else ""
        if isinstance(facts, RowsFacts):
            found[name] = facts
    return found


def test_loaders_of(owner: Any) -> Any:
    """Return the test loaders of a module or data module; ``None`` if it has none yet or cannot build them."""
    build = getattr(owner, "test_dataloader", None)
    home = getattr(getattr(build, "__func__", build), "__module__", "") or ""
    if not callable(build) or home.partition(".")[0] in ("lightning", "pytorch_lightning"):
        return None
    try:
        return build()
    except Exception:  # the test set may not exist before `setup("test")`
        return None
