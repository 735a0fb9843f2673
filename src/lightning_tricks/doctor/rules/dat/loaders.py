"""Settings of the training loader: order, batch size, the last batch."""

from collections.abc import Iterator

from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.facts.samples import loss_rows, samples_per_row
from lightning_tricks.doctor.rules.rule import NotChecked, Observed, Symptom, Symptoms, rule

_SERIES = ("time", "seri", "sequence", "window", "forecast", "stream", "tempor")


@rule("DAT002", "warning", kind="static", needs=("train_loader",))
def train_loader_not_shuffled(evidence: Evidence) -> Iterator[Symptom | NotChecked]:
    """Training rows in the same order in every epoch.

    What it looks at:  the sampler of the training loader; whether the rows are sorted by class (then an error).
    Why it matters:    consecutive rows are similar: the gradient of a batch follows its class, and batch norms adapt to
                       it.
    Try:               ``DataLoader(..., shuffle=True)``.
    False alarms:      time series (recognized by the name of the dataset, or by rows that are shifted windows), one
                       batch per epoch, and custom samplers are left out.
    References:        Bengio, Practical recommendations, 2012, §3.1.
    """
    loader = evidence.train_loader
    assert loader is not None
    if loader.iterable:
        yield NotChecked("the training data is iterable-style and defines its own order")
        return
    if loader.shuffles is None:
        yield NotChecked(f"whether {loader.sampler or 'the loader'} shuffles cannot be known")
        return
    rows, remedy = evidence.rows, "DataLoader(..., shuffle=True)"
    is_series = any(word in loader.dataset.lower() for word in _SERIES) or (rows is not None and rows.windows)
    if loader.shuffles or loader.batches in (0, 1) or is_series:
        return
    if rows is not None and rows.sorted:
        message = f"{loader.sampler}, and the {len(rows.classes or ())} classes are in sorted order"
        yield Symptom("train loader", message, remedy, "error")
    else:
        yield Symptom("train loader", f"{loader.sampler} gives the same order in every epoch", remedy)


@rule("DAT003", "warning", kind="static", needs=("train_loader",))
def batch_size_out_of_range(evidence: Evidence, *, high: int = 1024, limit: int = 6000) -> Symptoms:
    """A very small or very large batch.

    What it looks at:  the effective batch: rows per device × accumulated batches × devices.
    Why it matters:    the gradient of one row is mostly noise; batches of thousands of rows need their own learning
                       rate and warm-up, and often generalize worse.
    Options:           ``high``: info above it; ``limit``: a warning above it.
    Try:               32 to 256; ``accumulate_grad_batches`` if memory is limited.
    False alarms:      a single batch that contains all rows; one row with many samples (a graph, a series) is left out.
    References:        Keskar et al., 2017; Goyal et al., 2017; Masters & Luschi, 2018.
    """
    loader, plan = evidence.train_loader, evidence.plan
    assert loader is not None
    size = loader.batch_size or _common_size(evidence)
    if loader.rows == 0:
        return
    if not size:
        yield NotChecked("the number of samples in the batches of the training loader is unknown")
        return
    accumulate, devices = (plan.accumulate, plan.devices) if plan is not None else (1, 1)
    effective = size * accumulate * devices
    size_text = f"effective batch {effective} ({size} per device × {accumulate} accumulated × {devices} devices)"
    yield Observed(size_text)
    if effective == 1 and (loss_rows(evidence) or 1) == 1:
        yield Symptom("train loader", f"{size_text}: each step uses one row", "batch_size=32")
    elif effective > limit:
        yield Symptom(
            "train loader", f"{size_text}, above {limit}", "batch_size=256, or a warm-up: tricks=[cosine_decay]"
        )
    elif effective > high:
        yield Symptom("train loader", f"{size_text}, above {high}", "batch_size=256, or a warm-up", "info")


def _common_size(evidence: Evidence) -> int | None:
    """Return the number of rows of the batch if all of its tensors agree on it."""
    leaves = evidence.batch.leaves if evidence.batch is not None else ()
    sizes = {leaf.tensor.shape[0] if leaf.tensor.shape else None for leaf in leaves if leaf.tensor is not None}
    return next(iter(sizes)) if len(sizes) == 1 else None


@rule("DAT004", "info", kind="static", needs=("train_loader",))
def batch_size_not_power_of_two(evidence: Evidence) -> Iterator[Symptom]:
    """A batch size that is not a power of two.

    What it looks at:  the batch size of the training loader.
    Why it matters:    kernels work on tiles of 8 to 128 rows; the rest of an incomplete tile is idle.
    Try:               the nearest power of two, or a multiple of 8.
    False alarms:      the evidence is weak, hence info; a single batch of all rows is left out.
    References:        NVIDIA, Deep learning performance guide.
    """
    loader = evidence.train_loader
    size = loader.batch_size if loader is not None else None
    if not size or not size & (size - 1) or (loader is not None and loader.batches == 1):
        return
    below = 1 << (size.bit_length() - 1)
    nearest = below if size - below <= 2 * below - size else 2 * below
    yield Symptom("train loader", f"batch size {size} is not a power of two", f"batch_size={nearest}")


@rule("DAT010", "warning", kind="static", needs=("train_loader",))
def last_batch_of_one(evidence: Evidence) -> Iterator[Symptom | NotChecked]:
    """A last batch of one row with batch norm.

    What it looks at:  rows modulo batch size, ``drop_last``, and whether the model contains batch norms.
    Why it matters:    one row has no variance: once per epoch, ``BatchNorm1d`` raises an error and other batch norms
                       update their variance with zeros.
    Try:               ``drop_last=True``, or another batch size.
    False alarms:      convolutional batch norms average over many positions, even for one row.
    References:        PyTorch, "Expected more than 1 value per channel when training".
    """
    loader = evidence.train_loader
    assert loader is not None
    norms = [module for module in evidence.model.modules if module.isa("_BatchNorm") and module.training]
    if not norms:
        return
    if loader.rows is None or not loader.batch_size:
        yield NotChecked("the training data has no length, or the loader has no batch size")
        return
    if samples_per_row(evidence) > 1:
        return
    devices = evidence.plan.devices if evidence.plan is not None else 1
    if loader.batch_size > 1 and not loader.drop_last and devices == 1 and loader.rows % loader.batch_size == 1:
        message = (
            f"{loader.rows} rows in batches of {loader.batch_size} leave a last batch of one row for "
            f"{norms[0].kind} {norms[0].path}"
        )
        yield Symptom("train loader", message, "DataLoader(..., drop_last=True)")


@rule("DAT020", "error", kind="static", needs=("train_loader",))
def sampler_without_most_rows(evidence: Evidence) -> Iterator[Symptom]:
    """A weighted sampler with fewer weights than the dataset has rows.

    What it looks at:  the number of weights of a ``WeightedRandomSampler`` of the training loader, and of rows.
    Why it matters:    the sampler draws positions in the list of weights. With one weight per class, as for a loss, it
                       draws the first rows only, as many as there are classes.
    Try:               ``weights[targets]``: the weight of its class for each row.
    False alarms:      none known; ``torch.utils.data.Subset`` leaves out rows on purpose.
    References:        PyTorch documentation, ``WeightedRandomSampler``.
    """
    loader = evidence.train_loader
    assert loader is not None
    if loader.weights is not None and loader.rows is not None and loader.weights < loader.rows:
        drawn = f"only the first {loader.weights} rows are drawn"
        message = f"{loader.sampler} has {loader.weights} weights for {loader.rows} rows: {drawn}"
        yield Symptom("train loader", message, "weights[targets]: a weight for each row")
