"""Patients of the rule on the size of the validation set."""

from doctor_inputs import lit, loader, net, rows
from patient import healthy, sick


def split(train: int, val: int) -> dict:
    return {
        "model": lit(net()),
        "train_dataloaders": loader(rows(train)),
        "val_dataloaders": loader(rows(val), shuffle=False),
    }


@sick("DAT014", "10 of 490 rows", severity="info")
def two_rows_in_a_hundred() -> dict:
    return split(480, 10)


@sick("DAT014", "50.0%")
def half_of_the_rows() -> dict:
    return split(100, 100)


@healthy("DAT014")
def a_fifth() -> dict:
    return split(80, 20)


@healthy("DAT014")
def a_tenth() -> dict:
    return split(90, 10)


@healthy("DAT014")
def a_large_set() -> dict:
    return split(150_000, 1000)
