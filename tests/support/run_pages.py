"""A record with something in every field, names that attack a page, and a parser that checks a page's nesting."""

from html.parser import HTMLParser

from lightning_tricks.reports.run_data import Clipping, RatioMap, ReportedFinding, Sweep, Thaw
from lightning_tricks.reports.run_record import RunRecord
from lightning_tricks.reports.series import Series

EVIL = '<script>alert(\'%d %s "&")</script>\N{FIRE}'


class Page(HTMLParser):
    """The tags of a page, checked for their nesting."""

    VOID = ("meta", "br")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def full(name: str = "layer", steps: int = 5) -> RunRecord:
    x = tuple(range(steps))
    falling = Series(x, tuple(1 / (i + 1) for i in x))
    return RunRecord(
        name,
        "completed",
        metrics={"train_loss": falling, "val_loss": falling, f"{name} accuracy": falling, "clip_rate": falling},
        lrs={"0.0": falling},
        factors={f"{name}/schedule": falling},
        grad_norm=falling,
        update_ratios=RatioMap(x, (name,), (falling.values,)),
        sweep=Sweep((1e-3, 1e-2, 1e-1), (1.0, 0.5, None), 0.01, name),
        clipping=(Clipping(name, 1.0, 0),),
        findings=(ReportedFinding(0, "RUN001", name, "warning", name, name, name),),
        thaws=(Thaw(0, (1,)),),
        layer_groups=(name, "head"),
        tricks=(name,),
        configuration={name: name},
        versions={"python": "3"},
    )
