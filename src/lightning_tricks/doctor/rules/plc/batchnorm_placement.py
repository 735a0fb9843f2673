"""What stands around a batch norm, and how much it has to learn from."""

from collections.abc import Iterator

from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.facts.naming import kind_of
from lightning_tricks.doctor.facts.operations import LOSSES
from lightning_tricks.doctor.rules.rule import Symptom, rule


@rule("PLC010", "info", kind="batch", needs=("trace",))
def bias_before_batchnorm(evidence: Evidence) -> Iterator[Symptom]:
    """A bias that batch normalization takes away.

    What it looks at:  linear and convolution layers with a bias whose result goes to batch norms alone.
    Why it matters:    the batch norm subtracts the mean, the bias with it; it costs memory and does nothing.
    Try:               ``bias=False``.
    False alarms:      pre-trained weights that have one.
    References:        Ioffe & Szegedy, Batch Normalization, 2015, §3.2.
    """
    graph = evidence.graph
    for index, operation in graph.find("linear", "conv1d", "conv2d", "conv3d", "convolution"):
        users = graph.reached_by(index)
        if operation.fed_by("bias") is not None and users and all(graph[user].op == "batch_norm" for user in users):
            norm = graph[users[0]]
            message = (
                f"{kind_of(evidence, operation)} has a bias, which {kind_of(evidence, norm)} {norm.module} takes away"
            )
            yield Symptom(operation.module, message, "bias=False")


@rule("PLC011", "warning", kind="batch")
def batchnorm_small_batch(evidence: Evidence, *, values: int = 8) -> Iterator[Symptom]:
    """Batch normalization over few values.

    What it looks at:  values per channel, samples × positions, on this device; without a batch the loader's batch size
                       where there is ``BatchNorm1d``.
    Why it matters:    mean and variance of a handful of values are noise, which the running statistics learn.
    Options:           ``values``: a warning below it. Of 1 there is no variance at all: an error.
    Try:               group or layer norm, a larger batch, or ``sync_batchnorm=True`` on several devices.
    False alarms:      large maps: hence values are counted, not samples.
    References:        Wu & He, Group Normalization, 2018.
    """
    loader = evidence.train_loader
    size = loader.batch_size if loader is not None else None
    remedy = "nn.GroupNorm, a larger batch, or Trainer(sync_batchnorm=True) on several devices"
    if evidence.trace is None:
        for module in evidence.model.modules:
            if module.isa("BatchNorm1d") and size is not None and size < values:
                message = f"{module.kind} over {size} samples per batch, fewer than {values}"
                yield Symptom(module.path, message, remedy)
        return
    few: dict[int, list[str]] = {}
    for norm in evidence.trace.batchnorms:
        # the batch that was given may be smaller than those of the run; where a norm's rows are no samples, it counts
        is_smaller = size and evidence.batch is not None and norm.samples and norm.samples == evidence.batch.size
        found = norm.values * size // norm.samples if size and is_smaller else norm.values
        if found < values:
            few.setdefault(found, []).append(norm.module)
    for found, paths in few.items():
        owner = evidence.model.module(paths[0])
        message = f"{owner.kind if owner else 'batch norm'} over {found} values per channel, fewer than {values}"
        yield Symptom(paths[0], message, remedy, "error" if found <= 1 else None, len(paths))


@rule("PLC012", "warning", kind="batch", needs=("trace",))
def batchnorm_on_output(evidence: Evidence) -> Iterator[Symptom]:
    """Batch normalization as the last operation before the loss.

    What it looks at:  batch norms whose result reaches the input of a loss unchanged.
    Why it matters:    each prediction then depends on the others in its batch, and cannot leave mean 0 and variance 1
                       by more than the norm's own weight and bias.
    Try:               remove it, or put it before the last layer.
    False alarms:      metric learning and self-distillation, where it is meant.
    References:        Nikanjam et al., Automatic Fault Detection for Deep Learning Programs, 2021.
    """
    graph = evidence.graph
    for index, norm in graph.find("batch_norm"):
        for user in graph.reached_by(index):
            loss = graph[user]
            if loss.op in LOSSES and graph.source(loss.fed_by("input") or 0) == index:
                message = f"{kind_of(evidence, norm)} is the last operation before `{loss.op}`"
                yield Symptom(norm.module, message, "remove it, or put it before the last layer")
