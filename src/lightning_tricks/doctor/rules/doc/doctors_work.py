"""What keeps the doctor from looking."""

from collections.abc import Iterator

from lightning_tricks.doctor.facts.evidence import CONFIGURE_OPTIMIZERS, ErrorFact, Evidence
from lightning_tricks.doctor.rules.registry import matching_codes
from lightning_tricks.doctor.rules.rule import Symptom, rule


@rule("DOC001", "error", kind="batch")
def model_refuses_batch(evidence: Evidence) -> Iterator[Symptom]:
    """The user's code raises.

    What it looks at:  exceptions of ``training_step`` or ``forward`` on the batch, of ``configure_optimizers``, and of
                       the loader or the data module that the batch comes from.
    Why it matters:    training would end there, too; rules that need what was not computed were not checked.
    Try:               the line that is named; the batch's shapes and types are in the evidence.
    False alarms:      none known: what raises because there is no Trainer to ask is reported as not checked.
    References:        none.
    """
    for error in evidence.errors:
        place = f" ({error.file}:{error.line} in {error.function})" if error.file else ""
        message = f"{error.phase} raised {error.kind}: {error.message}{place}"
        yield Symptom(error.module, message, _remedy(error))


def _remedy(error: ErrorFact) -> str:
    if error.phase == CONFIGURE_OPTIMIZERS:
        return "correct that line of configure_optimizers"
    return "correct that line, or give the batch that it expects"


@rule("DOC002", "warning", kind="static")
def ignore_names_no_rule(evidence: Evidence, *, also_known: tuple[str, ...] = ()) -> Iterator[Symptom]:
    """A comment that tells the doctor to ignore a rule which does not exist.

    What it looks at:  ``# lt: ignore[...]`` in the source of the model's classes.
    Why it matters:    the comment has no effect, and whoever reads it believes that it has.
    Options:           ``also_known``: codes and names that no packaged rule has; those of a project's own rules are
                       among them.
    Try:               the code or name that is offered; take the comment out if its rule is gone.
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
            yield Symptom(path, f"{kind}'s source says `lt: ignore[{word}]`, but {sentence}", offer or "remove it")
