"""Rule pages: one page per rule of the doctor, from its docstring and from programs that its tests diagnose.

The programs are the test cases of `tests/doctor/patients`: the first that has the fault and the first that does not.
They are diagnosed when the page is built, and the page shows what the doctor reports.
"""

import contextlib
import io
import re
import sys
import textwrap
from pathlib import Path

from builder.markdown import code, directive, from_docstring, table, toctree
from builder.pages import ROOT, write
from builder.programs import program_of, run_program

sys.path.insert(0, str(ROOT / "tests" / "support"))

from patient import Patient, all_patients

from lightning_tricks.doctor.rules.registry import all_rules
from lightning_tricks.doctor.rules.rule import Rule

FAMILIES = {
    "ACT": "Activations", "BEH": "Behavior in training and evaluation", "CON": "Contracts", "DAT": "Data",
    "DOC": "The doctor's own work", "GRD": "Gradients of custom functions", "INI": "Initialization",
    "LOS": "Losses", "NUM": "Numerics", "OPT": "Optimizers", "PLC": "Placement of layers", "RUN": "Training runs",
    "SIZ": "Sizes", "TRF": "Transfer",
}  # fmt: skip
CHECKED = {
    "static": "without a batch, from the model, the optimizers and the loaders",
    "batch": "on one batch, in a traced training step",
    "run": "during training, by the callback `Doctor`",
}


def write_rule_pages(target: Path, programs: Path) -> None:
    """Write the page of each rule and the index.

    Args:
        target: the source folder of the site.
        programs: the folder for the programs that are run.
    """
    rules = all_rules()
    for rule in rules:
        write(target / "rules" / f"{rule.code}.md", _page(rule, programs))
    write(target / "rules" / "index.md", _index(rules))


def _index(rules: tuple[Rule, ...]) -> str:
    parts = [
        "# Rules by family",
        f"The doctor has {len(rules)} rules. [The doctor](../doctor.md) describes how to run it.",
    ]
    for family, title in FAMILIES.items():
        rows = [
            (f"[{rule.code}]({rule.code}.md)", f"`{rule.name}`", rule.severity, from_docstring(rule.title))
            for rule in rules
            if rule.family == family
        ]
        parts += [f"## {title}", table(("code", "name", "severity", "what it finds"), rows)]
    return "\n\n".join([*parts, toctree([rule.code for rule in rules], ":maxdepth: 1")]) + "\n"


def _page(rule: Rule, programs: Path) -> str:
    preview = ", in preview (off by default: `preview=True`)" if rule.preview else ""
    title = f"# {rule.code}: {rule.name}\n\n{from_docstring(rule.title)}."
    facts = f"Severity *{rule.severity}*{preview}; checked {CHECKED[rule.kind]}."
    sections = [f"{name}\n: {_linked(from_docstring(text), rule)}" for name, text in sections_of(rule.page)]
    return "\n\n".join([title, facts, *sections, *_examples(rule, programs), _suppress(rule)]) + "\n"


def sections_of(page: str) -> list[tuple[str, str]]:
    r"""Return the sections of a rule's docstring: the title without its colon, and the text as one paragraph.

    Example:
        >>> sections_of("Title.\n\nTry:     this\n         and that.\nOptions:  none.")
        [('Try', 'This and that.'), ('Options', 'None.')]
    """
    parts = re.split(r"^([A-Z][a-z ]+):\s+", page.partition("\n\n")[2], flags=re.MULTILINE)
    texts = [" ".join(text.split()) for text in parts[2::2]]
    return [(name, text[:1].upper() + text[1:]) for name, text in zip(parts[1::2], texts, strict=True)]


def _linked(text: str, rule: Rule) -> str:
    """Return text in which codes and names of other rules are links."""
    pages = {each.code: each.code for each in all_rules()} | {
        each.name: each.code for each in all_rules() if "-" in each.name
    }
    pages = {word: code for word, code in pages.items() if code != rule.code}
    words = "|".join(sorted(map(re.escape, pages), key=len, reverse=True))
    return re.sub(rf"(?<![\w`=-])({words})(?![\w`-])", lambda found: f"[{found[1]}]({pages[found[1]]}.md)", text)


def _examples(rule: Rule, programs: Path) -> list[str]:
    """Return a program with the fault and one without it, each with what the doctor reports about it."""
    own = [patient for patient in all_patients() if patient.code == rule.code]
    parts = []
    for title, has_fault in (("With the fault", True), ("Without it", False)):
        patient = next(each for each in own if each.is_sick is has_fault)
        parts += _example(rule, patient, title, programs)
    return parts


def _example(rule: Rule, patient: Patient, title: str, programs: Path) -> list[str]:
    program = program_of(patient.build, rule)
    with contextlib.redirect_stdout(io.StringIO()):
        report = run_program(program.text, programs / f"{patient.code.lower()}_{patient.build.__name__}.py")
    found = [finding for finding in report.findings if finding.code == patient.code]
    if bool(found) is not patient.is_sick:
        raise ValueError(f"The program {patient.name} reports {[str(finding) for finding in report.findings]}.")
    parts = [f"## {title}"]
    if program.is_run:
        parts.append("The rule judges what was measured during a run. Here the measurements are given.")
    if program.definitions:
        parts.append(
            directive("dropdown", code("python", f"{program.imports}\n\n\n{program.definitions}"), "Definitions")
        )
        parts.append(code("python", program.body))
    else:
        parts.append(code("python", f"{program.imports}\n\n{program.body}"))
    if not found:
        return [*parts, "The doctor reports no finding."]
    lines = [line for finding in found for line in (str(finding), f"        try: {finding.try_next}")]
    wrapped = "\n".join(textwrap.fill(line, 92, subsequent_indent=" " * 8) for line in lines)
    return [*parts, "The doctor reports:", code("text", wrapped)]


def _suppress(rule: Rule) -> str:
    command = "lightning-tricks doctor project.model:make --ignore"
    options = ", ".join(f"`{key}={value!r}`" for key, value in rule.options.items())
    with_options = f", together with its options ({options})" if options else ""
    parts = [
        "## How to ignore it",
        "In the source of a class, for its modules:",
        code("python", f"class Block(nn.Module):  # lt: ignore[{rule.code}]\n    ..."),
        "For one run, or for modules whose path matches:",
        code("bash", f"{command} {rule.code}\n{command} '{rule.code}:encoder.*'"),
        f"For a project, in `pyproject.toml`{with_options}:",
        code("toml", f'[tool.lightning-tricks.doctor]\nignore = ["{rule.code}"]' + _toml_options(rule)),
    ]
    return "\n\n".join(parts)


def _toml_options(rule: Rule) -> str:
    values = {key: value for key, value in rule.options.items() if isinstance(value, (int, float))}
    lines = [f"{key} = {str(value).lower() if isinstance(value, bool) else value}" for key, value in values.items()]
    return "\n\n" + "\n".join([f"[tool.lightning-tricks.doctor.options.{rule.code}]", *lines]) if lines else ""
