"""Trick worth: advice quotes what was measured, from the tables of measurements, and says nothing of anything else."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from lightning_tricks.core import trick_worth
from lightning_tricks.core.trick_worth import with_worth, worth_of

ROOT = Path(__file__).parents[2]


@pytest.fixture
def script() -> Any:
    spec = importlib.util.spec_from_file_location("worth", ROOT / "evidence" / "worth.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def agree(entry: dict[str, Any], measured: dict[str, Any]) -> bool:
    """Whether an entry is the measured one, up to a dataset or some seeds that were added since."""
    allowed = {"better": 1, "worse": 1, "of": 1, "ratio": 0.1, "error": 0.1}
    return all(abs(entry[key] - measured[key]) <= by for key, by in allowed.items() if key in entry)


def test_the_packaged_table_is_computed_from_the_measurements_and_names_options(script: Any) -> None:
    packaged, table = json.loads(script.TABLE.read_text(encoding="utf-8")), script.table()
    assert packaged
    for option, entries in packaged.items():
        measured = {entry["where"]: entry for entry in table[option]}
        assert all(agree(entry, measured[entry["where"]]) for entry in entries), "run `python evidence/worth.py`"
    options = {path.stem for path in (ROOT / "src" / "lightning_tricks" / "conf" / "tricks").glob("*.yaml")}
    assert set(packaged) <= options


def test_a_gain_counts_beyond_two_standard_errors_of_paired_differences(script: Any, tmp_path: Path) -> None:
    rows = ["data,variant,seed,score"]
    for seed, noise in enumerate((0.0, 0.01, -0.01)):
        for data, gain in (("a", 0.5), ("b", -0.5), ("c", 0.001)):
            rows += [f"{data},base,{seed},{seed}", f"{data},`NormalizeInputs()`,{seed},{seed + gain + noise}"]
    script.FEW_ROWS = tmp_path / "few_rows.csv"
    script.FEW_ROWS.write_text("\n".join(rows))
    assert script.of_few_rows() == {
        "normalize_inputs": [{"where": "few rows", "better": 1, "worse": 1, "of": 3, "page": "docs/guide/few-rows.md"}]
    }


def test_losses_are_compared_as_ratios_by_optimizer_over_tasks(script: Any, tmp_path: Path) -> None:
    rows = ["task,optimizer,method,seed,val,test,trainings"]
    for task, loss in (("a", 1.0), ("b", 20.0)):
        rows += [f"{task},SGD,without `LRFinder`,0,0,{loss},1", f"{task},SGD,without averaged weights,0,0,{loss / 2},1"]
    script.EVIDENCE = tmp_path / "evidence.csv"
    assert script.of_evidence() == {}
    script.EVIDENCE.write_text("\n".join(rows))
    entry = {"where": "SGD", "ratio": 0.5, "error": 0.0, "of": 2, "page": "docs/evidence.md"}
    assert script.of_evidence() == {"lr_finder": [entry]}


def test_advice_quotes_what_was_measured_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    loss = {"where": "SGD", "ratio": 0.5, "error": 0.012, "of": 12, "page": "docs/evidence.md"}
    rows = {"where": "few rows", "better": 1, "worse": 0, "of": 4, "page": "docs/guide/few-rows.md"}
    monkeypatch.setattr(trick_worth, "_table", lambda: {"lr_finder": [loss, rows], "mix_up": [rows]})
    few = "few rows, better on 1 of 4 datasets, worse on 0 (docs/guide/few-rows.md)"
    assert worth_of("lr_finder") == f"SGD, test loss x 0.50 ± 0.01 on 12 tasks (docs/evidence.md); {few}"
    assert with_worth("tricks=[mix_up]") == f"tricks=[mix_up]; measured: {few}"
    assert with_worth("tricks=[mix_up] or tricks=[cut_mix]").endswith(f"; measured (mix_up): {few}")
    assert with_worth("tricks=[cut_mix], or more rows") == "tricks=[cut_mix], or more rows"
