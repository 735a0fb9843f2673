"""Check a program with the doctor: before training, in a fit, and against the same fit without it."""

from dataclasses import dataclass, field
from typing import Any

import lightning.pytorch as L
import torch
from program import Program

from lightning_tricks import Doctor, diagnose

EPOCHS, STEPS = 2, 4


@dataclass
class Outcome:
    """What the doctor did to one program; ``broken``: it fails without the doctor, too."""

    program: Program
    broken: str = ""
    crash: str = ""
    changed: bool = False
    false: list[str] = field(default_factory=list)
    false_errors: int = 0
    true: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not (self.broken or self.crash or self.changed or self.false or self.missed or self.notes)

    def lines(self) -> list[str]:
        """What there is to say, a line each."""
        said = [f"true   {text} [{self.program.known[code_of(text)]}]" for text in self.true]
        said += [f"FALSE  {text}" for text in self.false] + [f"MISSED {code}" for code in self.missed]
        said += [f"NOTE   {note}" for note in self.notes]
        said += [f"{name} {text}" for name, text in (("BROKEN", self.broken), ("CRASH ", self.crash)) if text]
        return said + (["CHANGED the weights"] if self.changed else [])


def code_of(text: str) -> str:
    """Return the code in the text of a finding."""
    return text.split()[1]


def built(program: Program) -> tuple[L.LightningModule, Any]:
    L.seed_everything(0, verbose=False)
    return program.build()


def fitted(program: Program, *callbacks: L.Callback) -> dict[str, Any]:
    """Return the state after two short epochs."""
    model, data = built(program)
    L.seed_everything(1, verbose=False)
    trainer = L.Trainer(max_epochs=EPOCHS, limit_train_batches=STEPS, log_every_n_steps=1, accelerator="cpu",
                        logger=False, enable_checkpointing=False, enable_progress_bar=False,
                        enable_model_summary=False, callbacks=[*callbacks])  # fmt: skip
    trainer.fit(model, data)
    return model.state_dict()


def same(first: Any, second: Any) -> bool:
    if isinstance(first, torch.Tensor):
        return torch.equal(torch.nan_to_num(first), torch.nan_to_num(second))
    return bool(first == second)


def _differ(first: dict[str, Any], second: dict[str, Any]) -> bool:
    return not all(same(value, second[name]) for name, value in first.items())


def check(program: Program) -> Outcome:
    """Diagnose a program, fit it with and without the doctor, and compare what is found with what is true."""
    outcome = Outcome(program)
    try:
        plain = fitted(program)
    except Exception as error:  # with the installed version of its package it does not run at all
        outcome.broken = f"{type(error).__name__}: {error}"
        return outcome
    doctor = Doctor()
    try:
        model, data = built(program)
        reports = [diagnose(model, train_dataloaders=data)]
        watched = fitted(program, doctor)
    except Exception as error:
        outcome.crash = f"{type(error).__name__}: {error}"
        return outcome
    reports.append(doctor.report)
    outcome.changed = _differ(plain, watched)
    if outcome.changed and _differ(plain, fitted(program)):
        outcome.broken, outcome.changed = "two fits without the doctor differ", False
        return outcome
    found = {str(each): each for report in reports for each in report.at_least("warning")}
    outcome.notes = sorted({note for report in reports for note in report.notes if "report this" in note})
    outcome.false = [text for text, each in found.items() if each.code not in program.known]
    outcome.false_errors = sum(each.severity == "error" for each in found.values() if each.code not in program.known)
    outcome.true = [text for text, each in found.items() if each.code in program.known]
    outcome.missed = sorted(set(program.known) - {each.code for each in found.values()})
    return outcome
