"""The layers around a batch norm, and the number of values that it averages over."""

from collections.abc import Iterator

from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.facts.naming import kind_of
from lightning_tricks.doctor.facts.operations import LOSSES
from lightning_tricks.doctor.rules.rule import Symptom, rule


@rule("PLC010", "info", kind="batch", needs=("trace",))
def bias_before_batchnorm(evidence: Evidence) -> Iterator[Symptom]:
    """A bias that batch normalization removes.

    What it looks at:  linear and convolutional layers with a bias whose result is passed only to batch norms.
    Why it matters:    the batch norm subtracts the mean and with it the bias, which uses memory and has no effect.
    Try:               ``bias=False``.
    False alarms:      pretrained weights that include a bias.
    References:        Ioffe & Szegedy, Batch Normalization, 2015, §3.2.
    """
    graph = evidence.graph
    for index, operation in graph.find("linear", "conv1d", "conv2d", "conv3d", "convolution"):
        users = graph.reached_by(index)
        if operation.fed_by("bias") is not None and users and all(graph[user].op == "batch_norm" for user in users):
            norm = graph[users[0]]
            message = (
                f"{kind_of(evidence, operation)} has a bias, which {kind_of(evidence, norm)} {norm.module} removes"
            )
            yield Symptom(operation.module, message, "bias=False")


@rule("PLC011", "warning", kind="batch")
def batchnorm_small_batch(evidence: Evidence, *, values: int = 8) -> Iterator[Symptom]:
    """Batch normalization over few values.

    What it looks at:  values per channel (samples × positions) on this device; without a batch, the batch size of the
                       loader if the model contains ``BatchNorm1d``.
    Why it matters:    the mean and variance of a few values are noise, which enters the running statistics.
    Options:           ``values``: a warning below it. A single value has no variance: an error.
    Try:               group or layer norm, a larger batch, or ``sync_batchnorm=True`` on several devices.
    False alarms:      large feature maps: this is why values are counted, not samples.
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
        # the given batch may be smaller than those of the run; rows that are not samples are counted as they are
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
    Why it matters:    each prediction then depends on the others in its batch, and its distribution is fixed to mean 0
                       and variance 1, apart from the weight and bias of the norm.
    Try:               remove it, or move it before the last layer.
    False alarms:      metric learning and self-distillation, where it is intended.
    References:        Nikanjam et al., Automatic Fault Detection for Deep Learning Programs, 2021.
    """
    graph = evidence.graph
    for index, norm in graph.find("batch_norm"):
        for user in graph.reached_by(index):
            loss = graph[user]
            if loss.op in LOSSES and graph.source(loss.fed_by("input") or 0) == index:
                message = f"{kind_of(evidence, norm)} is the last operation before `{loss.op}`"
                yield Symptom(norm.module, message, "remove it, or move it before the last layer")
