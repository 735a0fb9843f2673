"""Problems that prevent the doctor from checking a model."""

from collections.abc import Iterator

from lightning_tricks.doctor.facts.evidence import CONFIGURE_OPTIMIZERS, ErrorFact, Evidence
from lightning_tricks.doctor.rules.registry import matching_codes
from lightning_tricks.doctor.rules.rule import Symptom, rule


@rule("DOC001", "error", kind="batch")
def model_refuses_batch(evidence: Evidence) -> Iterator[Symptom]:
    """User code that raises.

    What it looks at:  exceptions of ``training_step`` or ``forward`` on the batch, of ``configure_optimizers``, and of
                       the loader or the data module that provides the batch.
    Why it matters:    training would stop at the same line; rules that need the missing results were not checked.
    Try:               correct the reported line; the shapes and types of the batch are in the evidence.
    False alarms:      none known: an exception that is raised because no Trainer is attached is reported as not
                       checked.
    References:        none.
    """
    for error in evidence.errors:
        place = f" ({error.file}:{error.line} in {error.function})" if error.file else ""
        message = f"{error.phase} raised {error.kind}: {error.message}{place}{_rejected_ids(evidence, error)}"
        yield Symptom(error.module, message, _remedy(error))


def _rejected_ids(evidence: Evidence, error: ErrorFact) -> str:
    """Return which ids an embedding rejected, if that was the last call before the exception."""
    last = evidence.trace.operations[-1] if evidence.trace is not None and evidence.trace.operations else None
    if error.kind != "IndexError" or last is None or last.op != "embedding":
        return ""
    ids, weight = last.fed_by("input"), last.fed_by("weight")
    known = None if ids is None else evidence.graph[ids].statistics
    if known is None or weight is None:
        return ""
    rows = evidence.graph[weight].shape[0]
    return f"; its ids are in [{known.low:g}, {known.high:g}], but the table has {rows} rows, 0 to {rows - 1}"


def _remedy(error: ErrorFact) -> str:
    if error.phase == CONFIGURE_OPTIMIZERS:
        return "correct that line of configure_optimizers"
    return "correct that line, or pass a batch that it accepts"


@rule("DOC002", "warning", kind="static")
def ignore_names_no_rule(evidence: Evidence, *, also_known: tuple[str, ...] = ()) -> Iterator[Symptom]:
    """A comment that ignores an unknown rule.

    What it looks at:  ``# lt: ignore[...]`` in the source of the model's classes.
    Why it matters:    the comment has no effect, although it looks as if it had.
    Options:           ``also_known``: codes and names that are not those of a packaged rule; the project's own rules
                       are added to them.
    Try:               use the suggested code or name; remove the comment if its rule no longer exists.
    False alarms:      none known.
    References:        none.
    """
    places: dict[tuple[str, str], str] = {}
    for module in evidence.model.modules:
        for entry in module.ignores:
            places.setdefault((module.kind, entry.partition(":")[0]), module.path)
    for (kind, word), path in places.items():
        if word in also_known:
            continue
        try:
            matching_codes(word)
        except LookupError as error:
            sentence, _, offer = str(error.args[0]).partition(". ")
            yield Symptom(path, f"{kind}'s source contains `lt: ignore[{word}]`, but {sentence}", offer or "remove it")
