"""Make checklist: judge the six steps from the record of a run."""

import re
from dataclasses import replace

from lightning_tricks.core.trick_worth import with_worth
from lightning_tricks.reports.checklist import Checklist, Item, Step
from lightning_tricks.reports.checklist_evidence import (
    Record,
    against_gap,
    by_rules,
    find_gap,
    find_test_gap,
    first_finding,
    quote,
)

_ADAPTIVE = ("Adam", "RMSprop", "Lion", "Adagrad", "Adadelta", "Adafactor")
_IMAGE_CHANNELS, _IMAGE_SIDE = (1, 3, 4), 8


def make_checklist(record: Record) -> Checklist:
    """Return the six steps of a run.

    Args:
        record: the record of the run.
    """
    steps = (
        ("The loss fits the task", [by_rules(record, "loss", "Loss and targets", "LOS")]),
        ("The architecture suits the data", _architecture(record)),
        ("The training set is fitted", _training(record)),
        ("The validation set is fitted", _validation(record)),
        ("The test set is held back", _test(record)),
        ("The real world", [_real_world(record)]),
    )
    return Checklist([Step(i, title, _with_worth(items)) for i, (title, items) in enumerate(steps, 1)])


def _with_worth(items: list[Item]) -> list[Item]:
    """Return items whose advice states what the options that it names were worth, where that was measured."""
    return [item if not item.try_next else replace(item, try_next=with_worth(item.try_next)) for item in items]


def _architecture(record: Record) -> list[Item]:
    return [
        by_rules(record, "width", "Width by the rule of thumb, and capacity", "SIZ"),
        _convolutions(record),
        by_rules(record, "placement", "Placement of dropout, normalization and activations", "PLC", "ACT"),
    ]


def _convolutions(record: Record) -> Item:
    key, title = "convolutions", "Convolutions for images"
    if not record.inputs:
        return Item(key, title, "unknown", "the shapes of a batch were not read")
    image = next((shape for shape in record.inputs.values() if _is_image(shape)), None)
    if image is None:
        return Item(key, title, "not applicable", "the batch contains no images")
    count = _layers(record, "Conv")
    if count:
        return Item(key, title, "done", f"{count} layers")
    shown, advice = "x".join(map(str, image[1:])), "nn.Conv2d layers before the first nn.Linear"
    gap = find_gap(record)
    if gap:
        return Item(key, title, "missing", f"images of {shown} without a convolution; {gap}", advice)
    return Item(key, title, "unknown", f"images of {shown} without a convolution, but no overfitting", advice)


def _is_image(shape: tuple[int, ...]) -> bool:
    return len(shape) == 4 and shape[1] in _IMAGE_CHANNELS and min(shape[2:]) >= _IMAGE_SIDE


def _layers(record: Record, name: str) -> int:
    return sum(count for kind, count in record.layers.items() if re.search(name, kind))


# -- 3. the training set ----------------------------------------------------------------------------------------------


def _training(record: Record) -> list[Item]:
    optimizer = record.configuration.get("optimizer 0", "")
    is_adaptive = any(name in optimizer for name in _ADAPTIVE)
    return [
        _found_lr(record),
        Item("optimizer", "Adaptive optimizer", "done" if is_adaptive else "unknown", optimizer or "no optimizer"),
        _schedule(record),
        _restarts(record),
        by_rules(record, "batch", "Batch size and shuffling", "DAT002", "DAT003", "DAT004", "DAT010"),
        _differential_rates(record),
    ]


def _found_lr(record: Record) -> Item:
    key, title, option = "lr_found", "Learning rate found", "tricks=[lr_finder]"
    troubled = first_finding(record, "OPT001", "RUN004", "RUN005", "RUN007")
    if record.suggested_lr is not None:
        return Item(key, title, "done", f"the range test suggests {record.suggested_lr:.3g}")
    if troubled is not None and troubled.severity != "info":
        return Item(key, title, "missing", quote(troubled), option)
    return Item(key, title, "unknown", quote(troubled) if troubled else "no range test was run", option)


def _schedule(record: Record) -> Item:
    key, title, option = "schedule", "Schedule", "tricks=[cosine_decay]"
    call, oscillates = record.roles.get("schedule"), first_finding(record, "RUN005")
    moves = [name for name, series in record.lrs.items() if len({value for _, value in series.points}) > 1]
    if call is not None:
        return Item(key, title, "done", call)
    if moves:
        return Item(key, title, "done", f"the rate of optimizer {moves[0].partition('.')[0]} changes during the run")
    if oscillates is not None:
        return Item(key, title, "missing", quote(oscillates), option)
    return Item(key, title, "unknown", "the rate is constant" if record.lrs else "no rate was recorded", option)


def _restarts(record: Record) -> Item:
    key, title = "restarts", "Warm restarts"
    call, other = record.roles.get("restarts"), record.roles.get("schedule")
    if call is not None:
        return Item(key, title, "done", call)
    if other is not None:
        return Item(key, title, "not applicable", f"{other} sets the rate")
    return Item(key, title, "unknown", "no restarts", "tricks=[cosine_warm_restarts]")


def _differential_rates(record: Record) -> Item:
    key, title = "differential_lrs", "Differential rates for transfer"
    call, too_high = record.roles.get("differential_lrs"), first_finding(record, "OPT002")
    option = "tricks=[discriminative_lr]"
    if call is not None:
        return Item(key, title, "done", call)
    if too_high is not None:
        return Item(key, title, "missing", quote(too_high), option)
    has_frozen = len(record.parameters) > 1 and record.parameters[1] < record.parameters[0]
    if not (has_frozen or record.layer_groups or first_finding(record, "TRF")):
        return Item(key, title, "not applicable", "no frozen or pretrained part was found")
    lasts = {series.last for series in record.lrs.values()}
    if len(lasts) > 1:
        return Item(key, title, "done", f"{len(lasts)} different rates")
    return Item(key, title, "unknown", "parts are frozen or pretrained, and all groups have one rate", option)


# -- 4. the validation set --------------------------------------------------------------------------------------------


def _validation(record: Record) -> list[Item]:
    gap = find_gap(record)
    dropout = record.roles.get("dropout") or _counted(_layers(record, "Dropout"))
    augment = record.roles.get("augmentation")
    stopping = record.roles.get("early_stopping")
    return [
        against_gap("early_stopping", "Early stopping", stopping, gap, "tricks=[early_stopping]"),
        against_gap("dropout", "Dropout", dropout, gap, "tricks=[dropout_schedule], or nn.Dropout(0.25)"),
        against_gap("l2", "L2 or weight decay", _weight_decay(record), gap, "tricks=[weight_penalty], or AdamW"),
        _scaled_inputs(record),
        _normalization(record),
        against_gap("augmentation", "Augmentation", augment, gap, "tricks=[mix_up]"),
        by_rules(record, "initialization", "Initialization", "INI"),
        _clipping(record),
        against_gap("more_data", "More data", "", gap, "more rows; lightning_tricks.NoisyCopies adds noisy ones"),
    ]


def _counted(layers: int) -> str:
    return f"{layers} layers" if layers else ""


def _weight_decay(record: Record) -> str:
    penalty = record.roles.get("l2")
    try:
        decay = float(record.configuration.get("optimizer 0.weight_decay", "0"))
    except ValueError:  # an optimizer may use it with another meaning
        decay = 0.0
    return penalty or (f"weight_decay={decay:g}" if decay else "")


def _scaled_inputs(record: Record) -> Item:
    call = record.roles.get("input_scale")
    if call is not None:
        return Item("input_scale", "Inputs scaled", "done", call)
    return by_rules(record, "input_scale", "Inputs scaled", "DAT001", nothing="the doctor found no unscaled input")


def _normalization(record: Record) -> Item:
    key, title = "normalization", "Normalization layers"
    norms, weak = _layers(record, "Norm"), first_finding(record, "RUN001", "ACT002", "ACT003")
    if norms:
        return Item(key, title, "done", f"{norms} layers")
    if weak is not None and weak.severity != "info":
        return Item(key, title, "missing", quote(weak), "nn.BatchNorm1d or nn.LayerNorm before the activations")
    if "doctor" in record.roles:
        return Item(key, title, "not applicable", "the doctor found no vanishing gradient and no dead unit")
    return Item(key, title, "unknown", "0 layers")


def _clipping(record: Record) -> Item:
    call = record.roles.get("clipping")
    found = first_finding(record, "RUN002", "RUN003")
    bad = [name for name, series in record.metrics.items() if "loss" in name and None in series.values]
    key, title, option = "clipping", "Gradient clipping", "tricks=[gradient_clipping]"
    if call is not None:
        return Item(key, title, "done", f"{call}, {record.skipped_steps} steps skipped")
    if found is not None:
        return Item(key, title, "missing", quote(found), option)
    if bad:
        return Item(key, title, "missing", f"{bad[0]} was not finite", option)
    return Item(key, title, "not applicable", "all losses were finite, no gradient exploded")


# -- 5 and 6 ----------------------------------------------------------------------------------------------------------


def _test(record: Record) -> list[Item]:
    return [
        by_rules(record, "test_rows", "Test rows and metrics held back", "DAT012", "DAT013"),
        _looks(record),
        _test_gap(record),
    ]


def _looks(record: Record) -> Item:
    key, title = "looks", "Tested once"
    call = record.roles.get("looks")
    if call is None:
        return Item(key, title, "unknown", "no ledger of test runs is kept", "tricks=[test_guard]")
    if record.looks is None:
        return Item(key, title, "unknown", f"{call}; the ledger could not be read")
    if record.looks > 1:
        evidence = f"{record.looks} configurations have been tested"
        return Item(key, title, "missing", evidence, "choose by the validation set, then test on new rows")
    return Item(key, title, "done", "one configuration has been tested" if record.looks else "none has been tested yet")


def _test_gap(record: Record) -> Item:
    key, title = "test_gap", "Gap to validation"
    if not record.test:
        return Item(key, title, "unknown", "this run was not tested", "trainer.test, once, at the end")
    gap = find_test_gap(record)
    if gap is None:
        return Item(key, title, "unknown", "there is no test loss, or no validation loss, to compare")
    is_wide, evidence = gap
    if is_wide:
        return Item(key, title, "missing", evidence, "a validation set that is drawn like the test set")
    return Item(key, title, "done", evidence)


def _real_world(record: Record) -> Item:
    shift = first_finding(record, "DAT015")
    evidence = quote(shift) if shift is not None else "a training run cannot show it"
    advice = "collect rows where the model will be used, trainer.predict on them, and compare with the test score"
    return Item("real_world", "Data from the application", "unknown", evidence, advice)
