"""Real rows that packages ship in their wheels, read from their files: tables, images, series, signals and text."""

import csv
import functools
import importlib.util
import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import numpy as np
import torch
from sklearn import datasets
from torch import Tensor

Rows = tuple[Tensor, Tensor]
"""Inputs and targets, one row each."""


def folder_of(package: str) -> Path:
    """Return the folder of an installed package, without importing it.

    Raises:
        ModuleNotFoundError: it is not installed.
    """
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise ModuleNotFoundError(f"`{package}` is not installed: pip install --no-deps -r evidence/requirements.txt")
    return Path(found.origin).parent


def images(load: Callable[..., Any] = datasets.load_digits) -> Rows:
    """Return 1,797 images of handwritten digits in [0, 1] and their classes."""
    x, y = load(return_X_y=True)
    return torch.tensor(x, dtype=torch.float32).view(-1, 1, 8, 8) / 16, torch.tensor(y)


def table(load: Callable[..., Any]) -> Rows:
    """Return a table of scikit-learn."""
    x, y = load(return_X_y=True)
    return torch.tensor(x, dtype=torch.float32), torch.tensor(y)


def patches(size: int = 8, stride: int = 12) -> Rows:
    """Return gray patches of a photograph, twice, as the input and the target of an autoencoder."""
    photo = torch.tensor(np.array(datasets.load_sample_image("china.jpg")), dtype=torch.float32).mean(-1) / 255
    found = photo.unfold(0, size, stride).unfold(1, size, stride).reshape(-1, 1, size, size)
    return found, found


def r_table(name: str, target: str, limit: int, columns: tuple[str, ...] = ()) -> Rows:
    """Return a table of R's packages: numbers as they are, words as one column for each, rows with gaps left out.

    Args:
        name: package and table, ``"Ecdat/Computers"``.
        target: the column to predict; words become classes.
        limit: the largest number of rows, taken at equal distances.
        columns: the inputs; all others by default.
    """
    rows = _r_rows(name)
    columns = columns or tuple(key for key in rows[0] if key and key != target)
    rows = [row for row in rows if all(row[key] not in ("", "NA") for key in (*columns, target))]
    rows = rows[:: max(1, len(rows) // limit)][:limit]
    inputs = [column for key in columns for column in _as_numbers([row[key] for row in rows])]
    return torch.tensor(inputs, dtype=torch.float32).T.contiguous(), _as_target([row[target] for row in rows])


@functools.cache
def _r_rows(name: str) -> list[dict[str, str]]:
    with tarfile.open(folder_of("pydataset") / "resources.tar.gz") as archive:
        file = archive.extractfile(f"resources/rdata/csv/{name}.csv")
        assert file is not None
        return list(csv.DictReader(io.TextIOWrapper(file, "utf-8")))


def _as_numbers(values: list[str]) -> list[list[float]]:
    try:
        return [[float(value) for value in values]]
    except ValueError:
        words = sorted(set(values))
        return [[float(value == word) for value in values] for word in words[1:]]


def _as_target(values: list[str]) -> Tensor:
    try:
        return torch.tensor([float(value) for value in values])
    except ValueError:
        words = sorted(set(values))
        return torch.tensor([words.index(value) for value in values])


def labeled_series(name: str) -> Rows:
    """Return ``(N, T, C)`` series and their classes, from a data set of the UCR archive that aeon ships."""
    series, labels = [], []
    for part in ("TRAIN", "TEST"):
        text = (folder_of("aeon") / "datasets" / "data" / name.removesuffix("_eq") / f"{name}_{part}.ts").read_text()
        for line in text.lower().partition("@data")[2].split():
            *channels, label = line.split(":")
            series.append([[float(value) for value in channel.split(",")] for channel in channels])
            labels.append(label)
    words = sorted(set(labels))
    return torch.tensor(series).transpose(1, 2).contiguous(), torch.tensor([words.index(label) for label in labels])


def windows(values: Tensor, length: int, stride: int = 1, ahead: int = 1) -> Rows:
    """Return ``(N, length, 1)`` windows of a series, and the value that comes ``ahead`` steps after each."""
    values = (values - values.mean()) / values.std()
    count = (len(values) - length - ahead) // stride
    starts = torch.arange(count) * stride
    inputs = torch.stack([values[start : start + length] for start in starts])
    return inputs[:, :, None], values[starts + length + ahead - 1]


def sunspots() -> Tensor:
    """Return the monthly number of sunspots since 1749."""
    return torch.tensor([float(row["sunspot.month"]) for row in _r_rows("datasets/sunspot.month")])


def characters(text: str, length: int, alphabet: str) -> Rows:
    """Return windows of a text as numbers of characters, and the same windows one character later."""
    numbers = torch.tensor([alphabet.find(letter) + 1 for letter in text.lower()])
    starts = torch.arange((len(numbers) - 1) // length) * length
    rows = torch.stack([numbers[start : start + length + 1] for start in starts])
    return rows[:, :-1], rows[:, 1:]


def data_descriptions() -> str:
    """Return scikit-learn's descriptions of its datasets."""
    return "".join(file.read_text() for file in sorted((folder_of("sklearn.datasets") / "descr").glob("*.rst")))


def language_reference() -> str:
    """Return pages of Python's language reference, as its standard library ships them."""
    return "".join(text for _, text in sorted(topics.items()))[:40_000]
