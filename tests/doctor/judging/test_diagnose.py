"""What cannot be looked at is named in the report's last lines, with the reason, and nothing is raised."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from doctor_inputs import lit, loader, net, rows
from torch.utils.data import DataLoader, Dataset, IterableDataset, Sampler, TensorDataset

from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.judging.diagnose import diagnose
from lightning_tricks.doctor.judging.report import Report


class Stream(IterableDataset):
    def __iter__(self) -> Iterator[Any]:
        return iter(rows())


class Augmented(TensorDataset):
    def __getitem__(self, index: int) -> Any:
        x, y = super().__getitem__(index)
        return x + torch.randn_like(x), y


class Rows(Dataset):
    """Rows of whatever kind."""

    def __init__(self, row: Any, length: int = 64) -> None:
        self.row, self.length = row, length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Any:
        return self.row(index)


class WithoutLength(Rows):
    def __len__(self) -> int:
        raise TypeError("no length")


class Opaque:
    pass


class Own(Sampler):
    def __iter__(self) -> Iterator[int]:
        return iter(range(64))

    def __len__(self) -> int:
        return 64


def row(index: int) -> Any:
    return rows()[index]


def unreadable(index: int) -> Any:
    raise OSError(f"no file {index}")


def look(train: Any, val: Any = None) -> Report:
    report = diagnose(lit(net()), rows()[:], train_dataloaders=train, val_dataloaders=val, select=["DAT", "OPT"])
    evidence = report.evidence
    assert evidence is not None
    assert Evidence.from_json(evidence.to_json()) == evidence
    return report


def reason_of(report: Report, code: str) -> str:
    *_, last = [note for note in report.notes if code in note]
    assert " ".join(str(report).split()).endswith(report.notes[-1]), str(report)
    return last


STREAM = "the training data is iterable-style: only the batch was checked"


@pytest.mark.parametrize(
    ("train", "code", "reason"),
    [
        (DataLoader(Stream(), 16), "DAT005", STREAM),
        (DataLoader(Stream(), 16), "DAT002", "iterable-style and defines its own order"),
        ([rows()[:]], "DAT008", STREAM),
        (DataLoader(WithoutLength(row), sampler=Own()), "DAT011", "no rows or no length"),
        (loader(TensorDataset(*rows(0).tensors), shuffle=False), "DAT011", "no rows or no length"),
        (loader(Augmented(*rows().tensors)), "DAT011", "differs from one reading to the next"),
        (
            loader(Rows(lambda i: (torch.ones(4), Opaque()))),
            "DAT011",
            "rows that contain Opaque objects cannot be compared",
        ),
        (loader(Rows(lambda i: torch.eye(4).to_sparse())), "DAT011", "cannot be compared"),
        (
            loader(Rows(lambda i: (torch.ones(4), 0) if i == 0 else unreadable(i))),
            "DAT011",
            "row 1 of the training set",
        ),
        (loader(Rows(lambda i: [{"words": ["a", "b"]}, Opaque()])), "DAT011", "rows that contain Opaque"),
        (loader(Rows(unreadable)), "DAT008", "row 0 of the training set raised OSError: no file 0"),
        (loader(sampler=Own()), "DAT002", "whether Own shuffles cannot be known"),
        (loader(TensorDataset(torch.randn(64, 4))), "DAT008", "the targets of the training set are not classes"),
        (loader(), "DAT005", "there is no validation set with a length"),
        (None, "DAT002", "no training loader was given"),
    ],
    ids=lambda item: item if isinstance(item, str) else "",
)
def test_data_that_cannot_be_looked_at_is_named_with_the_reason(train: Any, code: str, reason: str) -> None:
    assert reason in reason_of(look(train), code)


def test_an_unreadable_validation_set_is_named() -> None:
    report = look(loader(), loader(Rows(unreadable), shuffle=False))
    assert "row 0 of the validation set raised OSError" in reason_of(report, "DAT005")


def test_reading_rows_leaves_random_numbers_and_data_sets_as_they_were() -> None:
    class Counting(TensorDataset):
        reads = 0

        def __getitem__(self, index: int) -> Any:
            self.reads += 1
            return super().__getitem__(index)

    dataset, state = Counting(*rows().tensors), torch.get_rng_state()
    look(loader(dataset), loader(dataset, shuffle=False))
    assert dataset.reads == 0
    assert torch.equal(torch.get_rng_state(), state)


class BuiltLate(type(lit(net()))):  # type: ignore[misc]
    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.trainer.late.parameters(), self.trainer.not_yet_known)


@pytest.mark.parametrize("code", ["OPT001", "OPT002", "OPT003", "OPT005", "OPT006", "OPT007", "OPT008", "OPT012"])
def test_optimizers_that_are_built_late_are_not_judged(code: str) -> None:
    report = diagnose(BuiltLate(net(), None, None), select=[code])
    assert "`configure_optimizers` raised" in reason_of(report, code)


def test_an_unknown_optimizer_is_not_judged() -> None:
    class Magic(torch.optim.Optimizer):
        def __init__(self, params: Any) -> None:
            super().__init__(params, {"lr": 1e9, "spell": 1})

    report = diagnose(lit(net(), tuning=Magic), select=["OPT"])
    assert not report.findings
    assert "Magic belongs to no optimizer family with a known range" in reason_of(report, "OPT001")


def test_what_its_own_trainer_has_trained_is_not_fine_tuned() -> None:
    class Trainer:
        max_epochs, max_steps, global_step = 5, -1, 20

    model = lit(net())
    model._trainer = Trainer()
    assert "the Trainer has trained the model itself" in reason_of(diagnose(model, select=["OPT002"]), "OPT002")


def test_the_length_of_the_run_is_not_known_without_a_trainer() -> None:
    def cosine(params: Any) -> Any:
        sgd = torch.optim.SGD(params, 0.1)
        return [sgd], [torch.optim.lr_scheduler.CosineAnnealingLR(sgd, 10)]

    report = diagnose(lit(net(), tuning=cosine), select=["OPT012"])
    assert "no Trainer is attached, so the length of the run is unknown" in reason_of(report, "OPT012")
