"""Dropout that is active in eval mode."""

from collections.abc import Iterator

from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.rules.finding import Severity
from lightning_tricks.doctor.rules.rule import Symptom, rule


@rule("PLC009", "error", kind="batch", needs=("behaviour",))
def dropout_always_on(evidence: Evidence) -> Iterator[Symptom]:
    """Dropout that is active in eval mode.

    What it looks at:  dropout calls with ``training=True`` while the model is in eval mode; manually computed masks are
                       info, because they may be intended.
    Why it matters:    dropout zeroes parts of the activations at inference, and predictions differ from call to call.
    Try:               ``F.dropout(x, p, training=self.training)``, or ``nn.Dropout``.
    False alarms:      models that sample on purpose (they also draw normal numbers): info. Ensembles by dropout and
                       decoders such as Tacotron's: a warning if the calling line contains ``training=True``.
    References:        PyTorch documentation, ``torch.nn.functional.dropout``: "training: apply dropout if is True".
    """
    behaviour = evidence.behaviour
    assert behaviour is not None
    samples = "randn" in behaviour.random
    for call in behaviour.always_on:
        severity: Severity | None = "info" if samples else "warning" if call.written else None
        owner = evidence.model.module(call.module)
        message = f"`{call.function}` (p = {call.p:g}) in {owner.kind if owner else 'the model'} is active in eval mode"
        yield Symptom(call.module, message, f"F.{call.function}(x, p, training=self.training)", severity)
    if not behaviour.always_on and behaviour.repeat_change and "bernoulli" in behaviour.random:
        message = f"a mask is drawn in eval mode; outputs change by {behaviour.repeat_change:.2g} from call to call"
        yield Symptom(behaviour.module, message, "apply the mask only `if self.training:`", "info")
