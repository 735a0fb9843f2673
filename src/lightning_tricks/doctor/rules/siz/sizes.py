"""Sizes of layers and models against common rules of thumb."""

import math
from collections.abc import Iterator

from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.facts.roles import is_norm
from lightning_tricks.doctor.rules.rule import Symptom, rule
from lightning_tricks.functional.sizing import hidden_width, hidden_width_by_samples

_REGULARIZERS = ("Dropout", "_DropoutNd")


@rule("SIZ001", "info", kind="static", needs=("train_loader",))
def width_out_of_range(evidence: Evidence, *, factor: float = 10.0) -> Iterator[Symptom]:
    """A hidden width far from the usual range.

    What it looks at:  the hidden widths of networks that consist of linear layers only, against two rules of thumb: two
                       thirds of the inputs plus the outputs, and the rows divided by twice the sum of inputs and
                       outputs.
    Why it matters:    a much smaller width loses information; a much larger one fits noise.
    Options:           ``factor``: how far a width may be outside both rules.
    Try:               start with a width between the number of outputs and the number of inputs, and double it while
                       the validation score improves.
    False alarms:      wide networks with another kind of regularization.
    References:        Heaton, Introduction to Neural Networks, 2008; Hagan et al., Neural Network Design, 2014.
    """
    layers = [each for each in evidence.model.modules if each.isa("Linear")]
    matrices = [each for each in evidence.model.parameters if len(each.shape) > 1]
    rows = evidence.train_loader.rows if evidence.train_loader is not None else None
    if len(layers) < 2 or len(matrices) != len(layers) or not rows:
        return
    inputs, outputs = layers[0].settings.get("in_features"), layers[-1].settings.get("out_features")
    if not isinstance(inputs, int) or not isinstance(outputs, int):
        return
    rules = (hidden_width(inputs, outputs), hidden_width_by_samples(rows, inputs, outputs))
    for layer in layers[:-1]:
        width = layer.settings.get("out_features")
        if isinstance(width, int) and not min(rules) / factor <= width <= max(*rules, 64) * factor:
            message = f"{width} units; the two rules of thumb give {rules[0]} and {rules[1]}"
            yield Symptom(layer.path, message, "a width between the outputs and the inputs")


@rule("SIZ002", "info", kind="static", needs=("train_loader",))
def more_parameters_than_rows(evidence: Evidence, *, factor: float = 10.0) -> Iterator[Symptom]:
    """Many more parameters than rows, without regularization.

    What it looks at:  the number of trainable parameters over rows times outputs, in models without dropout,
                       normalization, weight decay and pretrained parts.
    Why it matters:    the model can memorize the training set.
    Options:           ``factor``: the largest number of parameters per row and output.
    Try:               ``+recipes=few_rows``, or parts of it: ``tricks=[early_stopping,weight_penalty,mix_up]``.
    False alarms:      large networks often generalize anyway, hence info.
    References:        Zhang et al., Understanding deep learning requires rethinking generalization, 2017.
    """
    rows = evidence.train_loader.rows if evidence.train_loader is not None else None
    count = sum(math.prod(each.shape) for each in evidence.model.parameters if each.requires_grad)
    last = [each for each in evidence.model.parameters if len(each.shape) > 1]
    decays = any(group.settings.get("weight_decay") for each in evidence.optimizers or () for group in each.groups)
    is_regularized = decays or any(each.isa(*_REGULARIZERS) or is_norm(each) for each in evidence.model.modules)
    if not rows or not last or is_regularized or evidence.model.pretrained:
        return
    outputs = last[-1].shape[0]
    if count > factor * rows * outputs:
        message = (
            f"{count:,} parameters for {rows:,} rows of {outputs} outputs, above {factor:g} per row and "
            "output, and no regularization"
        )
        yield Symptom("", message, "+recipes=few_rows, or tricks=[early_stopping,weight_penalty,mix_up]")


@rule("SIZ003", "info", kind="static")
def unusual_kernel_size(evidence: Evidence) -> Iterator[Symptom]:
    """A convolution with an unusual kernel size.

    What it looks at:  kernel sizes of two-dimensional convolutions; each side should be 1, 3, 5 or 7.
    Why it matters:    an even kernel has no center: with the same padding on both sides the feature map shifts by half
                       a pixel and changes its size.
    Try:               a kernel of size 3, applied twice where more context is needed.
    False alarms:      patch embeddings and downsampling, where the kernel size equals the stride, are left out; large
                       kernels by design.
    References:        Simonyan & Zisserman, Very Deep Convolutional Networks, 2015, section 2.3.
    """
    for module in evidence.model.modules:
        sizes = [module.settings.get(f"kernel_size.{i}") for i in (0, 1)]
        strides = [module.settings.get(f"stride.{i}") for i in (0, 1)]
        is_plain = module.isa("Conv2d") and not module.isa("_ConvTransposeNd")
        if is_plain and sizes != strides and strides == [1, 1] and not set(sizes) <= {1, 3, 5, 7}:
            message = f"{module.kind} has a kernel size of {sizes[0]} x {sizes[1]}"
            yield Symptom(module.path, message, "kernel_size=3, applied twice where more context is needed")
