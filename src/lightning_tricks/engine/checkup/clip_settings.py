"""Clip settings: the gradient clipping of a run, by Lightning's arguments or by a callback of this package."""

from lightning.pytorch import Trainer

from lightning_tricks.doctor.facts.run_facts import ClipFact


def read_clip_settings(trainer: Trainer) -> ClipFact | None:
    """Return the clipping of a Trainer; ``None`` without a fixed limit."""
    limit = trainer.gradient_clip_val
    if limit:
        by_value = str(getattr(trainer.gradient_clip_algorithm, "value", trainer.gradient_clip_algorithm)) == "value"
        return ClipFact(f"gradient_clip_val={limit:g}", float(limit), by_value)
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        name = type(callback).__name__
        norm, value = getattr(callback, "max_norm", None), getattr(callback, "clip_value", None)
        if name == "GradientClipping" and isinstance(norm, (int, float)):
            return ClipFact(f"{name}(max_norm={norm:g})", float(norm))
        if name == "GradientClipping" and isinstance(value, (int, float)):
            return ClipFact(f"{name}(clip_value={value:g})", float(value), True)
    return None
