"""Clip settings: the gradient clipping of a run, by Lightning's arguments or by a callback of this package."""

from lightning.pytorch import Trainer

from lightning_tricks.doctor.facts.run_facts import ClipFact
from lightning_tricks.engine.clip.clipper import Clipper
from lightning_tricks.engine.run.trick import callbacks_of


def read_clip_settings(trainer: Trainer) -> ClipFact | None:
    """Return the clipping of a Trainer; ``None`` without a fixed limit."""
    limit = trainer.gradient_clip_val
    if limit:
        by_value = str(getattr(trainer.gradient_clip_algorithm, "value", trainer.gradient_clip_algorithm)) == "value"
        return ClipFact(f"gradient_clip_val={limit:g}", float(limit), by_value)
    facts = (clipper.fixed_limit for clipper in callbacks_of(trainer, Clipper))
    return next((fact for fact in facts if fact is not None), None)
