"""Loss balancer: add several losses so that none dominates the others."""

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from lightning_tricks.core.arguments import check_choice, check_number, check_words, shown
from lightning_tricks.modules.rank_sums import sum_over_ranks_

_DECAY = 0.99


class LossBalancer(nn.Module):
    r"""Add a main loss and auxiliary losses.

    ``"magnitude"``: each auxiliary term is multiplied by a detached factor such that the running mean of its magnitude
    stays within ``max_ratio`` of the first term's. A term within that range has factor 1. The means decay with 0.99 per
    call, are unbiased from the first call on, are updated only in ``train`` mode, and cover all processes; terms that
    are NaN or infinite are ignored.

    ``"uncertainty"``: each term, including the first, has a learned weight:

    .. math:: \ell = \sum_k e^{-s_k} \ell_k + s_k

    twice eq. 7 of the paper, with :math:`s_k = \log \sigma_k^2` trained from 0 together with the model. The terms
    must be non-negative, and the module's parameters must reach the optimizer, without weight decay.

    *Use when* a loss has auxiliary terms whose scales are unknown, or change during training.

    Args:
        names: the names of the terms, at least two; the first is the main loss.
        method: ``"magnitude"`` or ``"uncertainty"``.
        max_ratio: for ``"magnitude"``, >= 1; typically 100 (two orders of magnitude).

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: fewer than two names, a repeated name, an unknown method, or a ratio below 1.

    Example:
        >>> balancer = LossBalancer(["classification", "reconstruction"])
        >>> balancer({"classification": torch.tensor(0.5), "reconstruction": torch.tensor(5000.0)})
        tensor(50.5000)
        >>> {name: round(weight, 4) for name, weight in balancer.weights.items()}
        {'classification': 1.0, 'reconstruction': 0.01}

    References:
        Kendall, Gal & Cipolla, Multi-task learning using uncertainty to weigh losses for scene geometry and
        semantics, 2018, eq. 7.
    """

    means: Tensor
    seen: Tensor

    def __init__(
        self,
        names: Sequence[str],
        *,
        method: Literal["magnitude", "uncertainty"] = "magnitude",
        max_ratio: float = 100.0,
    ) -> None:
        super().__init__()
        self.names = check_words("names", names, "names of losses")
        if len(self.names) < 2 or len(set(self.names)) < len(self.names):
            raise ValueError(f"`names` must be at least two different names, got {shown(self.names)}.")
        self.method = check_choice("method", method, ("magnitude", "uncertainty"))
        self.max_ratio = check_number("max_ratio", max_ratio, 1)
        if method == "uncertainty":
            self.log_variances = nn.Parameter(torch.zeros(len(self.names)))
        else:  # decaying sums of magnitudes, and of their weights
            self.register_buffer("means", torch.zeros(len(self.names)))
            self.register_buffer("seen", torch.zeros(len(self.names)))

    def forward(self, terms: Mapping[str, Tensor]) -> Tensor:
        """Return the weighted sum of the terms.

        Args:
            terms: a scalar tensor ``()`` for each name.

        Returns:
            ``()``

        Raises:
            ValueError: a term is missing, unknown, or has more than one element.
        """
        if set(terms) != set(self.names):
            raise ValueError(f"`terms` must have the entries {self.names}, got {sorted(map(str, terms))}.")
        for name in self.names:
            if not isinstance(terms[name], Tensor) or terms[name].numel() != 1:
                raise ValueError(
                    f"`terms[{name!r}]` must be a tensor with one element, got {shown(terms[name])}; reduce it."
                )
        stacked = torch.stack([terms[name].reshape(()).float() for name in self.names])
        if self.method == "uncertainty":
            return (torch.exp(-self.log_variances) * stacked + self.log_variances).sum()
        if self.training:
            self._observe(stacked.detach())
        return (self._factors() * stacked).sum()

    @torch.no_grad()
    def _observe(self, terms: Tensor) -> None:
        """Update the means of all processes with the terms."""
        finite = terms.isfinite()
        sums = sum_over_ranks_(torch.stack([torch.where(finite, terms.abs(), 0), finite.to(terms.dtype)]))
        known = sums[1] > 0
        decay = torch.where(known, _DECAY, 1.0)
        self.means.mul_(decay).add_((1 - decay) * sums[0] / sums[1].clamp(min=1))
        self.seen.mul_(decay).add_(1 - decay)

    def _factors(self) -> Tensor:
        means = self.means / torch.where(self.seen > 0, self.seen, 1)
        main = means[0]
        factors = means.clamp(main / self.max_ratio, main * self.max_ratio) / means
        return torch.where((means > 0) & (main > 0), factors, 1)

    @property
    def weights(self) -> dict[str, float]:
        """The current factor of each term; reading it may synchronize with the device."""
        with torch.no_grad():
            factors = torch.exp(-self.log_variances) if self.method == "uncertainty" else self._factors()
        return dict(zip(self.names, factors.tolist(), strict=True))

    def extra_repr(self) -> str:
        """Return the arguments."""
        ratio = f", max_ratio={self.max_ratio:g}" if self.method == "magnitude" else ""
        return f"{self.names}, method={self.method!r}{ratio}"
