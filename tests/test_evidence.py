"""The evidence: statistics as pure functions, a table that is continued, and one tiny task from end to end."""

import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

EVIDENCE = Path(__file__).parents[1] / "evidence"


MODULES = [file.stem for file in EVIDENCE.glob("*.py")]


@pytest.fixture
def evidence(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module ``run`` of the folder, which is no package; other folders have modules of the same names."""
    monkeypatch.syspath_prepend(str(EVIDENCE))
    for name in MODULES:
        monkeypatch.delitem(sys.modules, name, raising=False)
    import run

    yield run
    for name in MODULES:
        sys.modules.pop(name, None)


def test_a_search_is_chosen_by_validation_and_scored_by_test(evidence: Any) -> None:
    from ratios import geometric_mean, mean_over_tasks, ratio, searched
    from results import Row

    rows = [Row(None, val, val + 0.5, 1.0) for val in (3.0, 1.0, 2.0, 4.0)]
    assert searched(rows, 4) == [1.5]
    assert searched(rows, 2) == [1.5, 2.5]
    assert ratio(math.inf, 1.0) == 100
    assert geometric_mean([0.5, 8.0]) == pytest.approx(2)
    found = mean_over_tasks({"a": [1.0, 4.0], "b": [8.0]})
    assert (found.mean, found.worst, found.worst_task, found.count) == (pytest.approx(4), pytest.approx(8), "b", 3)
    assert found.error == pytest.approx(math.log(2) * math.sqrt(2) / math.sqrt(2))


def test_a_table_is_continued_where_it_ended(evidence: Any, tmp_path: Path) -> None:
    from results import Job, Row, append, read, remaining, whole_seeds

    jobs, table = [Job("a, b", "SGD", f"search {i:02d}", 0) for i in range(3)], tmp_path / "evidence.csv"
    append(table, [Row(jobs[1], 0.5, 0.25, 1.3)])
    append(table, [Row(jobs[2], 2.0, 1.0, 1.0)])
    assert read(table) == [Row(jobs[1], 0.5, 0.25, 1.3), Row(jobs[2], 2.0, 1.0, 1.0)]
    assert list(remaining(jobs, read(table))) == jobs[:1]
    assert read(tmp_path / "none.csv") == []
    assert whole_seeds(read(table), jobs) == []
    assert whole_seeds(read(table), [*jobs[1:], jobs[0]._replace(seed=1)]) == read(table)


def test_each_training_of_a_tiny_task_is_counted_scored_and_shown(
    evidence: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import methods
    import page
    import tasks

    name = "digits, autoencoder"
    small = replace(tasks.TASKS[name], epochs=2, train=64, val=64, held_out=False)
    for module in (tasks, evidence, page):
        monkeypatch.setattr(module, "TASKS", {name: small})
    kept = ["`auto`", "without averaged weights", "without clipping"]
    monkeypatch.setattr(methods, "TRIALS", 2)
    monkeypatch.setattr(page, "SIZES", (2, 1))
    monkeypatch.setattr(
        methods, "ours", lambda optimizer, ours=methods.ours: {key: ours(optimizer)[key] for key in kept}
    )
    monkeypatch.setattr(methods, "peers", lambda optimizer, peers=methods.peers: dict([*peers(optimizer).items()][:1]))
    rows = [evidence.do(job) for job in evidence.jobs([name], 1, trials=2)]
    assert len(rows) == 12
    assert all(0 < row.test < 1 for row in rows)
    recipe = next(row for row in rows if row.job.method == "`auto`")
    assert recipe.trainings > 1
    assert next(row for row in rows if row.job.method == "search 00").trainings == 1
    shown = page.main_table(rows, held_out=None)
    assert "| **`auto`** |" in shown
    assert "| random search, 2 trainings | 1.00 |" in shown
    assert page.verdicts(rows).startswith("- without averaged weights: AdamW ")
    assert f"| {name} | 4 | 64, 64, 1669 |" in page.task_table(rows)


def test_the_page_is_that_of_the_table(evidence: Any) -> None:
    import page

    rows, text = evidence.shown_rows(), page.PAGE.read_text(encoding="utf-8")
    for held_out in (False, True, None):
        assert page.main_table(rows, held_out) in text
    assert page.verdicts(rows) in text
    assert f"{len({row.job.seed for row in rows})} seeds" in text


def test_rows_that_other_pages_quote_are_those_of_the_table(evidence: Any) -> None:
    import page
    import quotes

    table, quoting = page.main_table(evidence.shown_rows(), held_out=None), quotes.pages()
    assert {"learning-rate", "plateau-and-early-stopping", "gradient-clipping", "sweeps"} <= {p.stem for p in quoting}
    for quoted in quoting:
        text = quoted.read_text(encoding="utf-8")
        assert quotes.renewed(text, table) == text, "run `python evidence/run.py --page`"
