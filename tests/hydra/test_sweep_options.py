"""The packaged sweeps and launchers: stages, ablations, and jobs in processes of their own."""

import json
import os
import sys
from importlib.resources import files
from pathlib import Path

import pytest
import yaml
from sweep_app import sweep


def overrides_in(folder: Path) -> list[list[str]]:
    return json.loads((folder / "sweep.json").read_text())["jobs"]


def test_a_staged_sweep_starts_each_stage_from_the_best_job_so_far(tmp_path: Path) -> None:
    keys = ("hydra.sweeper.keys.batch_size=null", "hydra.sweeper.keys.hidden=model.width")
    options = ("+lt_sweep=staged", *keys, "hydra.sweeper.n_trials=2", "hydra.sweeper.seed=1")
    assert sweep(tmp_path, *options)[0] == 0
    jobs = overrides_in(tmp_path)
    assert [[text.split("=")[0] for text in job[1:]] for job in jobs] == [
        *[["model.lr"]] * 2, *[["model.lr", "model.momentum", "model.width"]] * 2,
    ]  # fmt: skip
    best = min(jobs[:2], key=lambda job: (float(job[1].split("=")[1]) - 0.1) ** 2)
    assert {job[1] for job in jobs[2:]} == {best[1]}
    status, text = sweep(tmp_path, *options[:-2], "hydra.sweeper.n_trials=3")
    assert status == 1
    assert "hydra.sweeper.n_trials, with stages: 2 there, 3 now" in text


def test_a_stage_that_was_begun_keeps_its_start_though_a_failed_job_turns_out_better(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stages = "hydra.sweeper.stages=[{model.lr: 'choice(0.1,0.3)'}, {model.width: 'choice(8,16)'}]"
    options = (stages, "hydra.sweeper.n_trials=3", "hydra.sweeper.seed=0")
    monkeypatch.setenv("FAIL", ",".join(str(i) for i in range(3)))
    status, text = sweep(tmp_path, *options)
    assert status == 1
    assert "None of the first 3" in text
    better = [i for i, job in enumerate(overrides_in(tmp_path)) if job == ["model.lr=0.1"]]
    monkeypatch.setenv("FAIL", ",".join(map(str, better)))
    assert sweep(tmp_path, *options)[0] == 1
    before = overrides_in(tmp_path)
    assert {job[0] for job in before[3:]} == {"model.lr=0.3"}
    monkeypatch.delenv("FAIL")
    assert sweep(tmp_path, *options)[0] == 0
    assert overrides_in(tmp_path) == before


def test_a_typed_override_fixes_or_changes_what_a_stage_draws(tmp_path: Path) -> None:
    stages = "hydra.sweeper.stages=[{model.lr: 'interval(0,1)', model.width: '1,2'}, {model.momentum: 'interval(0,1)'}]"
    options = (stages, "hydra.sweeper.n_trials=1", "model.width=3", "model.momentum=choice(0.5)")
    assert sweep(tmp_path, *options)[0] == 0
    first, second = overrides_in(tmp_path)
    assert first[0] == "model.width=3"
    assert len(first) == 2
    assert second == [*first, "model.momentum=0.5"]


def test_an_ablation_switches_off_each_trick_then_all_for_every_seed(tmp_path: Path) -> None:
    assert sweep(tmp_path, "+lt_sweep=ablation", "seed=0,1")[0] == 0
    off = [[], ["tricks.cosine_decay=null"], ["tricks.z_clip=null"], ["tricks.cosine_decay=null", "tricks.z_clip=null"]]
    expected = [["+lt_sweep=ablation", f"seed={seed}", *case] for seed in (0, 1) for case in off]
    assert overrides_in(tmp_path) == expected


@pytest.mark.parametrize("launcher", ["joblib", "submitit_local"])
def test_jobs_in_other_processes_leave_their_records_and_are_resumed_by_any_launcher(
    launcher: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ("hydra.sweeper.n_trials=2", "model.lr=interval(0, 1)")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))  # the workers import the task
    monkeypatch.setenv("FAIL", "1")
    status, text = sweep(tmp_path, f"+lt_launcher={launcher}", *options)
    assert status == 1
    assert "1 of 2 jobs failed" in text
    states = [json.loads((tmp_path / str(i) / "sweep_job.json").read_text())["status"] for i in range(2)]
    assert states == ["completed", "failed"]
    monkeypatch.delenv("FAIL")
    assert sweep(tmp_path, *options)[0] == 0


@pytest.mark.parametrize("group", ["lt_sweep", "lt_launcher"])
def test_every_option_says_what_it_is_for_and_chooses_one_plugin(group: str) -> None:
    options = list(files("lightning_tricks.conf").joinpath(group).iterdir())
    assert len(options) > 1
    for option in options:
        text = option.read_text(encoding="utf-8")
        assert text.startswith("# @package _global_\n# "), option.name
        (chosen,) = yaml.safe_load(text)["defaults"]
        assert set(chosen) <= {"override /hydra/sweeper", "override /hydra/launcher"}
