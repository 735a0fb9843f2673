"""Attention masks over padded sequences."""

from collections.abc import Iterator

from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.rules.rule import Observed, Symptom, Symptoms, rule


@rule("BEH014", "error", kind="batch", needs=("trace",), explains=("BEH001",))
def inverted_padding_mask(evidence: Evidence) -> Symptoms:
    """Attention that sees the padding only.

    What it looks at:  batches of sequences that end or begin with one repeated id, or with zeros; the mask of each
                       attention (``key_padding_mask``, ``attn_mask``, weights of exactly 0 after a softmax): whether it
                       masks everything but this padding.
    Why it matters:    ``key_padding_mask`` is True where a position is ignored, while ``attention_mask`` of tokenizers,
                       and boolean masks of ``scaled_dot_product_attention``, are True where it is used. With the wrong
                       one the words have no effect, and no error is raised.
    Try:               ``key_padding_mask=~mask``.
    False alarms:      none known.
    References:        PyTorch documentation, ``MultiheadAttention`` and ``scaled_dot_product_attention``.
    """
    assert evidence.trace is not None
    for mask in evidence.trace.masks:
        yield Observed(f"{mask.module}: masked are {mask.padding:.0%} of the padding, {mask.others:.0%} of the rest")
    yield from _inverted(evidence)


def _inverted(evidence: Evidence, high: float = 0.9, low: float = 0.1) -> Iterator[Symptom]:
    assert evidence.trace is not None
    wrong = dict.fromkeys(each.module for each in evidence.trace.masks if each.padding < low and each.others > high)
    for module in wrong:
        yield Symptom(
            module, "the mask leaves out everything but the padding", "invert the mask: key_padding_mask=~mask"
        )
