"""Patients of the rule on frozen parts that move."""

import copy

import torch
from patient import Calling, Step, classes, healthy, sick
from torch import Tensor, nn


def block() -> nn.Sequential:
    return nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU())


def on_frozen(*, training: bool, frozen: bool = True) -> dict:
    net = nn.Sequential(block().requires_grad_(not frozen), nn.Linear(16, 3))
    model = Step(net)
    net[0].train(training)
    return {"model": model, "batch": classes()}


@sick("BEH010", "BatchNorm1d of a frozen part", severity="warning")
def a_frozen_backbone_in_training_mode() -> dict:
    return on_frozen(training=True)


@sick("BEH010", "the step modifies fixed.weight")
def a_frozen_layer_that_is_scaled() -> dict:
    def forward(net: nn.Module, x: Tensor) -> Tensor:
        with torch.no_grad():
            net.fixed.weight.mul_(0.99)
        return net.head(net.fixed(x))

    parts = {"fixed": nn.Linear(8, 4).requires_grad_(False), "head": nn.Linear(4, 3)}
    return {"model": Calling(forward, **parts), "batch": classes()[0]}


@healthy("BEH010")
def a_frozen_backbone_in_eval_mode() -> dict:
    return on_frozen(training=False)


@healthy("BEH010")
def a_backbone_that_trains() -> dict:
    return on_frozen(training=True, frozen=False)


@healthy("BEH010")
def a_teacher_that_follows_its_student() -> dict:
    student = block()

    def forward(net: nn.Module, x: Tensor) -> Tensor:
        with torch.no_grad():
            for slow, fast in zip(net.teacher.parameters(), net.student.parameters(), strict=True):
                slow.mul_(0.99).add_(fast, alpha=0.01)
        return net.student(x) - net.teacher(x)

    parts = {"student": student, "teacher": copy.deepcopy(student).requires_grad_(False)}
    return {"model": Calling(forward, **parts), "batch": classes()[0]}


def with_attribute(value: object) -> dict:
    net = nn.Sequential(block(), nn.Linear(16, 3))
    net[0].requires_grad = value
    return {"model": Step(net), "batch": classes()}


@sick("BEH012", "`requires_grad` of the Sequential is False, but 4 of its parameters", severity="warning")
def a_backbone_frozen_by_an_attribute() -> dict:
    return with_attribute(False)


@healthy("BEH012")
def an_attribute_that_agrees_with_the_parameters() -> dict:
    return with_attribute(True)


@healthy("BEH012")
def a_backbone_frozen_by_the_method() -> dict:
    patient = with_attribute(False)
    patient["model"].net[0].requires_grad_(False)
    return patient
