"""Architectures of `transformers`: the doctor runs on each, leaves it as it was, and warns of what is true alone."""

import pytest
import torch
from transformers_batches import NAMES, model_and_batch

from lightning_tricks.doctor.judging.diagnose import diagnose

KNOWN = {
    "MobileNetV2": ["batchnorm-momentum"],  # 0.997, TensorFlow's, where PyTorch's is 0.003
    "PatchTST": ["dropout-before-batchnorm"],  # positional_dropout -> norm_sublayer1.batchnorm
    "SpeechT5": ["dropout-before-batchnorm-through-weights"],  # the postnet
}


@pytest.mark.parametrize("name", NAMES)
def test_it_is_traced_left_as_it_was_and_warned_of_what_is_known(name: str) -> None:
    model, batch = model_and_batch(name)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    flags = [module.training for module in model.modules()]
    generator = torch.get_rng_state()
    report = diagnose(model, batch)
    assert report.evidence is not None
    assert report.evidence.trace is not None, report.evidence.error
    assert report.evidence.trace.technique == "hybrid"
    assert [finding.name for finding in report.at_least("warning")] == KNOWN.get(name, []), str(report)
    after = model.state_dict()
    assert all(torch.equal(value, after[key]) for key, value in before.items())
    assert [module.training for module in model.modules()] == flags
    assert torch.equal(torch.get_rng_state(), generator)
    assert all(value.grad is None for value in model.parameters())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
