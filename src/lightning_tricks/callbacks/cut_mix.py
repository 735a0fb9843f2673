"""CutMix: train on rows with a part of another row pasted in."""

import random
from typing import Literal, NamedTuple

from torch import Tensor

from lightning_tricks.core.arguments import check_choice
from lightning_tricks.engine.batch.batch_mixer import BatchMixer
from lightning_tricks.functional.mixing import Region, blend_rows, draw_box, draw_span, paste_rows


class _Draw(NamedTuple):
    """How one batch is mixed: the partner, the share of a row that is kept, and the pasted regions."""

    shift: int
    share: float
    region: Region
    places: Region
    sizes: tuple[int, ...]


class CutMix(BatchMixer):
    """Paste a part of another row into each row of a training batch, and mix the targets by its size.

    Use when: training data are scarce, and a part of an input is sufficient to recognize its class: images, long
    sequences, tables with many columns.

    Where it acts: on training batches after their transfer, after normalization and augmentation: a box of images
    ``(N, *, H, W)``, a span of sequences ``(N, L, C)``, adjacent columns of tables ``(N, C)``. Targets are mixed in
    proportion to the pasted area; class indices become probabilities. Class indices per pixel or per step are pasted
    like the input.

    Interacts with: metrics of the training step that expect class indices: compare with ``target.argmax(1)``.
    :class:`MixUp` in the same list mixes the rows a second time.

    Args:
        alpha: both parameters of the Beta distribution of the share of a row that is kept, > 0; 1 is uniform (Yun et
            al. 2019, section 3.1).
        num_classes: number of classes of integer targets, or a list for several targets; ``None``: integer targets
            raise an error.
        layout: ``"image"``, ``"sequence"`` with the steps in dimension 1, ``"channels_first"`` for sequences
            ``(N, C, L)``, ``"table"``, or ``"auto"``: by the number of dimensions.
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
        >>> from lightning_tricks import CutMix
        >>> trainer = Trainer(callbacks=[CutMix(num_classes=10, p=0.5)])

        With Hydra: ``tricks=[cut_mix] tricks.cut_mix.num_classes=10``

    See :func:`lightning_tricks.functional.mixing.draw_box` and ``paste_rows`` for the mathematics.
    """

    def __init__(
        self,
        alpha: float = 1.0,
        *,
        num_classes: int | list[int] | None = None,
        layout: Literal["auto", "image", "sequence", "channels_first", "table"] = "auto",
        key: int | str | None = None,
        targets: list[int | str] | None = None,
        p: float = 1.0,
        seed: int = 0,
        name: str | None = None,
    ) -> None:
        super().__init__(alpha, num_classes, key, targets, p, seed, name)
        self.layout = check_choice("layout", layout, ("auto", "image", "sequence", "channels_first", "table"))

    def draw(self, values: Tensor, dice: random.Random, share: float) -> _Draw:
        """Return a box, a span or columns, depending on the layout."""
        shift = dice.randrange(1, len(values))
        layout = self._layout_of(values)
        if layout == "image":
            height, width = values.shape[-2:]
            box, left = draw_box(height, width, share, (dice.random(), dice.random()))
            return _Draw(shift, left, box, box, (height, width))
        last = layout == "channels_first"
        length = values.shape[-1] if last else values.shape[1]
        span, left = draw_span(length, share, dice.random())
        at_end: Region = (..., span)  # type: ignore[assignment]
        return _Draw(shift, left, at_end if last else (span,), at_end, (length,))

    def _layout_of(self, values: Tensor) -> str:
        least = {"image": 3, "channels_first": 3, "sequence": 2, "table": 2}
        layout = self.layout
        if layout == "auto":
            layout = "table" if values.ndim <= 2 else "sequence" if values.ndim == 3 else "image"
        if values.ndim < least[layout]:
            raise ValueError(f"`layout`={layout!r} does not fit an input of shape {tuple(values.shape)}.")
        return layout

    def mix_input(self, values: Tensor, drawn: _Draw) -> Tensor:
        return paste_rows(values, drawn.shift, drawn.region)

    def mix_target(self, target: Tensor, drawn: _Draw, *, has_classes: bool) -> Tensor:
        """Return a target blended by the share of a row that is kept; targets per pixel or step are pasted."""
        if has_classes and target.ndim > 2 and tuple(target.shape[2:]) == drawn.sizes:
            return paste_rows(target, drawn.shift, drawn.places)
        return blend_rows(target, drawn.shift, drawn.share)
