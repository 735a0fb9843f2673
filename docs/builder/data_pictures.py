"""Data pictures: draw what a trick does to images, features and weights; digits are those of scikit-learn."""

import sys
from collections.abc import Callable
from typing import Any

import torch
from sklearn.datasets import load_digits, load_wine
from torch import Tensor, nn

import lightning_tricks as lt
from builder.pages import ROOT
from lightning_tricks.functional.mixing import blend_rows, draw_box, paste_rows
from lightning_tricks.functional.penalties import add_penalty_grads_
from lightning_tricks.reports.curves import new_figure

sys.path.insert(0, str(ROOT / "examples"))


def range_test(trainer: Any) -> tuple[Any, str, str]:
    """Draw a range test of the CNN of the examples."""
    from digits import CNN, Digits

    torch.manual_seed(0)
    result = lt.find_lr(CNN(), datamodule=Digits(), num_steps=60)
    alt = f"Loss over the learning rates of a range test, with a suggestion of {result.suggestion:.2g}"
    return result.plot().figure, alt, "A range test of a small CNN on digits, run when this page was built."


def images() -> Tensor:
    """Return six digits `(6, 1, 8, 8)` in [0, 1]."""
    return torch.tensor(load_digits().images[[0, 1, 2, 3, 4, 6]], dtype=torch.float32).unsqueeze(1) / 16


def pairs(before: Tensor, after: Tensor, labels: tuple[str, str]) -> Any:
    """Return a figure with images above, and what becomes of them below."""
    figure = new_figure((7, 2.6))
    panels = figure.subplots(2, len(before))
    for row, values in enumerate((before, after)):
        for panel, image in zip(panels[row], values, strict=True):
            panel.imshow(image.squeeze(0), cmap="gray_r", vmin=0, vmax=1)
            panel.set_xticks([])
            panel.set_yticks([])
        panels[row][0].set_ylabel(labels[row])
    return figure


def mixed(trainer: Any) -> tuple[Any, str, str]:
    """Draw six digits and their blends."""
    figure = pairs(images(), blend_rows(images(), 1, 0.7), ("rows", "blended"))
    return figure, "Six digits, and each blended with the one before it", "Each row with 0.3 of the row before it."


def pasted(trainer: Any) -> tuple[Any, str, str]:
    """Draw six digits, each with a box of another."""
    region, share = draw_box(8, 8, 0.7, (0.5, 0.6))
    figure = pairs(images(), paste_rows(images(), 1, region), ("rows", "pasted"))
    caption = f"A box of the row before replaces {1 - share:.0%} of each row."
    return figure, "Six digits, and each with a box of the one before it", caption


def augmented(trainer: Any) -> tuple[Any, str, str]:
    """Draw six digits and what the example's transform makes of them."""
    (callback,) = trainer.callbacks
    figure = pairs(images(), callback.transform(images()), ("rows", "transformed"))
    return figure, "Six digits, and the same transformed", "The transform of the example below."


def normalized(trainer: Any) -> tuple[Any, str, str]:
    """Draw the ranges of the features of the wine data before and after."""
    rows = torch.tensor(load_wine().data, dtype=torch.float32)
    after = lt.InputNormalizer(rows.shape[1]).fit_([rows])(rows)
    figure = new_figure((7, 3))
    for panel, values, title in zip(figure.subplots(1, 2), (rows, after), ("as read", "normalized"), strict=True):
        panel.boxplot(values.T.tolist(), sym="")
        panel.set_title(title, fontsize=9)
        panel.set_xlabel("feature")
    return figure, "Thirteen features before and after normalization", "The 13 features of the wine data."


def spread(trainer: Any) -> tuple[Any, str, str]:
    """Draw the standard deviation of the outputs of 20 layers."""
    figure = new_figure((7, 3))
    axes = figure.subplots()
    for scheme in (None, "xavier_normal", "he_normal"):
        torch.manual_seed(0)
        layers = [part for _ in range(20) for part in (nn.Linear(128, 128), nn.ReLU())]
        model = nn.Sequential(*layers)
        if scheme:
            lt.initialize_(model, scheme, seed=0)
        x, deviations = torch.randn(256, 128), []
        with torch.no_grad():
            for layer in model:
                x = layer(x)
                if isinstance(layer, nn.ReLU):
                    deviations.append(float(x.std()))
        axes.plot(range(1, 21), deviations, marker=".", label=scheme or "torch's default")
    axes.set_yscale("log")
    axes.set_xlabel("layer")
    axes.set_ylabel("standard deviation of outputs")
    axes.grid(alpha=0.25)
    axes.legend(fontsize=8, frameon=False)
    alt = "Standard deviation of the outputs of 20 layers under three initializations; only he_normal keeps it"
    return figure, alt, "Outputs of 20 linear layers of 128 units with ReLU."


def shrinking(trainer: Any) -> tuple[Any, str, str]:
    """Draw weights under gradient descent on the penalty alone."""
    figure = new_figure((7, 3))
    for panel, (name, strength) in zip(figure.subplots(1, 2, sharey=True), (("l1", 0.02), ("l2", 0.05)), strict=True):
        weight = nn.Parameter(torch.linspace(-1, 1, 9))
        path = [weight.tolist()]
        for _ in range(60):
            weight.grad = None
            add_penalty_grads_([weight], **{name: strength})
            weight.data -= weight.grad
            path.append(weight.tolist())
        panel.plot(path)
        panel.set_title(f"{name}={strength}", fontsize=9)
        panel.set_xlabel("step of size 1")
        panel.grid(alpha=0.25)
    caption = "Nine weights under the penalty alone: L1 moves all equally, L2 in proportion to their size."
    return figure, "Nine weights that shrink under an L1 and an L2 penalty", caption


def unit_clipping(trainer: Any) -> tuple[Any, str, str]:
    """Draw gradient norms of units against weight norms, before and after."""
    (callback,) = trainer.callbacks
    generator = torch.Generator().manual_seed(0)
    weight = nn.Parameter(torch.randn(200, 32, generator=generator) * torch.logspace(-2, 0, 200).unsqueeze(1))
    weight.grad = torch.randn(200, 32, generator=generator) * 0.02
    before = weight.grad.norm(dim=1)
    lt.adaptive_clip_([weight], callback.clip_factor)
    figure = new_figure((7, 3.2))
    axes = figure.subplots()
    norms = weight.detach().norm(dim=1)
    axes.loglog(norms, before, ".", color="lightgray", label="before")
    axes.loglog(norms, weight.grad.norm(dim=1), ".", label="after")
    axes.set_xlabel("norm of the unit's weights")
    axes.set_ylabel("norm of its gradient")
    axes.legend(fontsize=8, frameon=False)
    axes.grid(alpha=0.25)
    caption = f"200 units with equal gradients: small weights are clipped, at {callback.clip_factor} of their norm."
    return figure, "Gradient norms of 200 units over the norms of their weights, before and after", caption


DRAWN: dict[str, Callable[[Any], tuple[Any, str, str]]] = {
    "adaptive_gradient_clipping": unit_clipping,
    "batch_augment": augmented,
    "cut_mix": pasted,
    "initialize_weights": spread,
    "lr_finder": range_test,
    "mix_up": mixed,
    "normalize_inputs": normalized,
    "weight_penalty": shrinking,
}
"""The pictures by option."""
