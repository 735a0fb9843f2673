"""Contents of the batch: blank inputs, invalid ids, images in another layout."""

from collections.abc import Iterator

from lightning_tricks.doctor.facts.evidence import Evidence, LeafFact
from lightning_tricks.doctor.facts.graph import Graph
from lightning_tricks.doctor.facts.naming import call_of
from lightning_tricks.doctor.facts.operations import SHAPES, words
from lightning_tricks.doctor.facts.roles import inputs
from lightning_tricks.doctor.rules.rule import Symptom, rule

_HIDES_NEGATIVES = words("clamp clamp_min abs relu remainder mod fmod")
_COLORS = (1, 3, 4)


@rule("DAT016", "warning", kind="batch", needs=("batch", "trace"))
def negative_ids(evidence: Evidence) -> Iterator[Symptom]:
    """Negative ids that are used as an index.

    What it looks at:  integers of the batch that are passed to an embedding, a gather or an index, directly or after a
                       clamp, ``abs`` or remainder.
    Why it matters:    a clamp maps -1 to the first row, ``abs`` to the second, and plain indexing to the last row:
                       samples without an id share the vector of a sample that has this id.
    Try:               reserve an id for padding (``padding_idx``) and map negative ids to it.
    False alarms:      ids that the step compares or replaces (``where``, ``masked_fill``) are masked by user code and
                       left out; so are targets.
    References:        PyTorch documentation, ``nn.Embedding``.
    """
    graph = evidence.graph
    leaves = {leaf.path: leaf for leaf in inputs(evidence) if _lowest(leaf) < 0}
    for _, user in graph.find("embedding", "embedding_bag", "gather", "getitem", "index_select", "take_along_dim"):
        index = user.fed_by("index") if user.op not in ("embedding", "embedding_bag") else user.fed_by("input")
        if index is None:
            continue
        start = graph.source(index, SHAPES | _HIDES_NEGATIVES | {"long", "int", "to"})
        leaf = leaves.get(graph[start].module) if graph[start].op == "batch" else None
        if leaf is None or _is_masked(graph, start):
            continue
        passed = graph[graph.source(index)].op
        how = f" after `{passed}`" if passed in _HIDES_NEGATIVES else ""
        message = f"ids down to {_lowest(leaf):g} reach {call_of(evidence, user)}{how}"
        yield Symptom(f"batch {leaf.path}".strip(), message, "map negative ids to a reserved one: padding_idx")


def _lowest(leaf: LeafFact) -> float:
    tensor = leaf.tensor
    if tensor is None or tensor.statistics is None or "int" not in tensor.dtype:
        return 0.0
    return tensor.statistics.low


def _is_masked(graph: Graph, start: int) -> bool:
    users = graph.reached_by(start)
    return any(graph[user].op in words("eq ne lt le gt ge where masked_fill") for user in users)


@rule("DAT017", "warning", kind="batch", needs=("batch", "trace"))
def channels_last_images(evidence: Evidence) -> Iterator[Symptom]:
    """Channels-last images in a network that expects channels first.

    What it looks at:  inputs of shape (N, H, W, 1, 3 or 4): whether a convolution uses their rows as channels, or a
                       ``view`` or ``reshape`` has changed their shape to (N, C, H, W).
    Why it matters:    the convolution slides over columns and colors, and its channels are rows of pixels; a reshape
                       cuts the image into stripes.
    Try:               ``x.permute(0, 3, 1, 2)``.
    False alarms:      images that are permuted before the convolution are left out.
    References:        PyTorch documentation, ``nn.Conv2d``.
    """
    graph = evidence.graph
    images = {leaf.path: leaf.tensor.shape for leaf in inputs(evidence) if leaf.tensor and _is_color_last(leaf)}
    moved = SHAPES - words("permute transpose swapaxes movedim moveaxis T mT t")
    for _, convolution in graph.find("conv2d", "convolution"):
        given = convolution.fed_by("input")
        start = None if given is None else graph.source(given, moved)
        if start is None or graph[start].op != "batch" or graph[start].module not in images:
            continue
        shape, taken = images[graph[start].module], convolution.input_shapes[0]
        if len(taken) != 4 or (taken == (*shape[:1], *shape[1:]) and taken[1] in _COLORS):
            continue
        took = f"rows as channels, with shape {list(taken)}" if taken == shape else f"them reshaped to {list(taken)}"
        message = (
            f"images of shape {list(shape)} have their channels last, but {call_of(evidence, convolution)} takes {took}"
        )
        yield Symptom(f"batch {graph[start].module}".strip(), message, "x.permute(0, 3, 1, 2)")
        return


def _is_color_last(leaf: LeafFact) -> bool:
    shape = leaf.tensor.shape if leaf.tensor is not None else ()
    return len(shape) == 4 and shape[3] in _COLORS and shape[1] not in _COLORS and min(shape[1:3]) > 4


@rule("DAT018", "warning", kind="batch", needs=("batch",))
def blank_batch(evidence: Evidence) -> Iterator[Symptom]:
    """A batch whose inputs are constant.

    What it looks at:  the inputs of the batch: whether each contains a single repeated number, or the same sample at
                       every place.
    Why it matters:    nothing can be learned from it. Typical causes are files that failed to load, a mask over
                       everything, a normalization that was applied twice or to integers, and a dataset that ignores
                       the index.
    Try:               print rows of the dataset: ``dataset[0]``.
    False alarms:      an artificial batch for a quick check of a model (``torch.ones``).
    References:        Karpathy, A Recipe for Training Neural Networks, 2019.
    """
    known = [leaf for leaf in inputs(evidence) if leaf.tensor is not None and leaf.tensor.statistics is not None]
    values = [leaf.tensor.statistics for leaf in known if leaf.tensor is not None]
    if known and all(leaf.same_rows for leaf in known) and not all(each and each.low == each.high for each in values):
        size = known[0].tensor.shape[0] if known[0].tensor is not None else 0
        yield Symptom("batch", f"all {size} samples are equal", "check `__getitem__` of the dataset: dataset[1]")
        return
    if not values or not all(
        each and each.count > 1 and each.low == each.high and not each.nonfinite for each in values
    ):
        return
    shown = ", ".join(
        f"{leaf.path or 'input'} is {each.low:g}" for leaf, each in zip(known, values, strict=True) if each
    )
    yield Symptom("batch", f"each input contains a single number: {shown}", "print rows of the dataset")
