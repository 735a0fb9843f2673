"""`lightning-tricks cache-features`: write a cache, say what is in it, refuse on one line."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lightning_tricks import FeatureDataset
from lightning_tricks.cli.main import main

HERE = Path(__file__)


def make() -> tuple[nn.Module, DataLoader[Any]]:
    torch.manual_seed(0)
    data = TensorDataset(torch.randn(10, 2), torch.arange(10))
    return nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1)), DataLoader(data, batch_size=4)


def shuffled() -> tuple[nn.Module, DataLoader[Any]]:
    model, loader = make()
    return model, DataLoader(loader.dataset, batch_size=4, shuffle=True)


def test_it_writes_the_features_of_a_layer_and_describes_them(tmp_path: Path, capsys: Any) -> None:
    out = tmp_path / "features"
    assert main(["cache-features", f"{HERE}:make", "--layer", "0", "--out", str(out)]) == 0
    written = capsys.readouterr()
    assert written.out == f"10 rows of features (3,) float32, 1 () int64: 200 B in {out}\n"
    assert "200 B in features (new)" in written.err
    features = FeatureDataset(out)
    model, loader = make()
    expected = torch.cat([model[0](x) for x, _ in loader])
    assert torch.equal(torch.stack([features[i][0] for i in range(10)]), expected)


@pytest.mark.parametrize(
    ("target", "arguments", "message"),
    [
        ("shuffled", [], "`loader` must keep the dataset's order"),
        ("make", ["--layer", "7"], "`layer` must name a submodule"),
        ("make", ["--copies", "0"], "`copies` must be at least 1"),
        ("nothing", [], "nothing"),
    ],
)
def test_what_cannot_be_cached_is_one_line_and_status_2(
    tmp_path: Path, capsys: Any, target: str, arguments: list[str], message: str
) -> None:
    assert main(["cache-features", f"{HERE}:{target}", "--out", str(tmp_path / "out"), *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("lightning-tricks cache-features: ")
    assert message in error
    assert not (tmp_path / "out").exists()
