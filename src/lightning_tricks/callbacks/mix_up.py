"""MixUp: train on blends of two rows and of their targets."""

import random

from torch import Tensor

from lightning_tricks.engine.batch.batch_mixer import BatchMixer
from lightning_tricks.functional.mixing import blend_rows


class MixUp(BatchMixer):
    """Blend each row of a training batch, and its target, with another row.

    Use when: training data are scarce, and blends of two inputs are meaningful: images, spectra, numeric tables.

    Where it acts: on training batches after their transfer, after normalization and augmentation; validation batches
    are not changed. Targets given as class indices become probabilities ``(N, C)``, which ``cross_entropy`` accepts;
    probabilities and regression values are blended directly. Several targets are blended in the same way.

    Interacts with: metrics of the training step that expect class indices: compare with ``target.argmax(1)``. Losses
    without soft targets (``nll_loss``) fail. :class:`CutMix` in the same list mixes the rows a second time.

    Args:
        alpha: both parameters of the Beta distribution of the weight of a row itself, > 0; typically 0.1 to 0.4; larger
            values blend more (Zhang et al. 2018, section 3.1).
        num_classes: number of classes of integer targets, or a list for several targets; ``None``: integer targets
            raise an error.
        key: the entry that is the input: a name, a place, or both joined by dots, as in ``"labeled.0"``; ``None``: the
            first floating tensor.
        targets: the entries that are mixed with the input; ``None``: every entry after the input.
        p: share of the batches that are mixed, in [0, 1].
        seed: seed of the draws, >= 0; each process draws its own.
        name: distinguishes several callbacks of this class in checkpoints.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: an argument is out of range; at the first batch, an entry that cannot be mixed.

    Example:
        >>> from lightning.pytorch import Trainer
        >>> from lightning_tricks import MixUp
        >>> trainer = Trainer(callbacks=[MixUp(0.2, num_classes=10)])

        With Hydra: ``tricks=[mix_up] tricks.mix_up.num_classes=10``

    See :func:`lightning_tricks.functional.mixing.blend_rows` for the formula.
    """

    def __init__(
        self,
        alpha: float = 0.2,
        *,
        num_classes: int | list[int] | None = None,
        key: int | str | None = None,
        targets: list[int | str] | None = None,
        p: float = 1.0,
        seed: int = 0,
        name: str | None = None,
    ) -> None:
        super().__init__(alpha, num_classes, key, targets, p, seed, name)

    def draw(self, values: Tensor, dice: random.Random, share: float) -> tuple[int, float]:
        """Return the distance of the partner row and the weight of a row itself."""
        return dice.randrange(1, len(values)), share

    def mix_input(self, values: Tensor, drawn: tuple[int, float]) -> Tensor:
        return blend_rows(values, *drawn)

    def mix_target(self, target: Tensor, drawn: tuple[int, float], *, has_classes: bool) -> Tensor:
        return blend_rows(target, *drawn)
