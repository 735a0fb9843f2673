"""A comparison lays curves over one another and shows what differs, escaped, whatever the runs have in common."""

from dataclasses import replace

from run_pages import EVIL, Page, full

from lightning_tricks.reports.compare_page import show_comparison
from lightning_tricks.reports.run_data import BestScore
from lightning_tricks.reports.run_record import RunRecord
from lightning_tricks.reports.series import Series


def cells(text: str, label: str) -> list[str]:
    """Return the cells of the first row of that label."""
    row = text.partition(f"<td>{label}</td>")[2].partition("</tr>")[0]
    return [cell.partition("</td>")[0] for cell in row.split("<td>")[1:]]


def test_curves_of_one_metric_lie_over_one_another() -> None:
    one = replace(full("a"), metrics={"val_loss": Series((0, 5), (1.0, 0.5)), "only a": Series((0, 5), (1.0, 2.0))})
    other = replace(full("b"), metrics={"val_loss": Series((0, 9), (1.0, 0.25))})
    text = show_comparison({"one": one, "two": other})
    assert "val_loss: one from 1 to 0.5; two from 1 to 0.25." in text
    assert "only a: one from 1 to 2." in text
    assert "optimizer 0, group 0: one from 1 to 0.2; two from 1 to 0.2." in text
    assert "Gradient norm before clipping: one" in text


def test_only_settings_that_differ_are_shown() -> None:
    one = RunRecord("Net", configuration={"lr": "0.1", "seed": "0"}, tricks=("OneCycle(0.1)", "RunReport(dirpath=1)"))
    other = RunRecord("Net", configuration={"lr": "0.2", "seed": "0"}, layers={"ReLU": 2})
    text = show_comparison({"one": one, "two": other})
    assert cells(text, "lr") == ["0.1", "0.2"]
    assert cells(text, "trick OneCycle") == ["OneCycle(0.1)", ""]
    assert cells(text, "layers of ReLU") == ["", "2"]
    assert "<td>seed</td>" not in text
    assert "RunReport(" not in text
    assert "<p>None.</p>" in show_comparison({"one": one, "again": one})


def test_checklists_stand_in_columns() -> None:
    text = show_comparison({"one": RunRecord("Net", layers={"LayerNorm": 2}), "two": RunRecord("Net")})
    assert text.count('<th scope="col">one</th><th scope="col">two</th>') == 7, "settings and six steps"
    assert cells(text, "Normalization layers") == ["done: 2 layers", "unknown: 0 layers"]


def test_the_best_score_stands_first() -> None:
    runs = {name: RunRecord("Net", best=(BestScore("acc", "max", score, 0, 1),)) for name, score in
            (("low", 0.5), ("high", 0.9), ("none", None))}  # fmt: skip
    assert cells(show_comparison(runs), "acc")[:2] == ["high", "0.9"]


def test_a_page_of_many_odd_runs_is_escaped_and_whole() -> None:
    runs = {f"{EVIL} {i}": full(EVIL, steps=i + 1) for i in range(10)}
    text = show_comparison({**runs, "empty": RunRecord("Net")})
    page = Page(text)
    names = [tag for tag, _ in page.tags]
    assert "<script" not in text
    assert names.count("h1") == 1
    assert not {"script", "link", "img"} & set(names)
