"""What holds for every family of runs, from the command line to files."""

import dataclasses
import itertools
import json
import os
import re
import shutil
import subprocess

import jax
import numpy as np
import pytest

from experiments.harness import arm_groups, environment, family, files
from experiments.harness.checkpoints import Checkpoints
from experiments.harness.config import per_member_fields
from experiments.harness.members import hyperparameters
from experiments.harness.messages import UserError
from experiments.harness.run_directory import RunDirectory
from experiments.reproduce.figure import Figure, Preset
from experiments.reproduce.reproduce import reproduce
from helpers.checkout import image_files, programs
from helpers.checkout.family_cases import (
    ALIKE,
    ATARI,
    CASES,
    KILLED_OFTEN,
    MISTAKES,
    PARITY,
    VARIANTS,
    Case,
)
from helpers.checkout.programs import flags
from helpers.checkout.rows import assert_same_rows


def or_thorough(own):
    """A case, which is left to the thorough tests where another is of its kind."""
    marks = [pytest.mark.thorough] if own.family in VARIANTS else []
    return pytest.param(own, id=own.family.name, marks=marks)


def unlike(cases):
    """Cases, of networks one: what differs between families is their state."""
    return [
        pytest.param(
            case,
            id=f"{case.family.name}-{case.num_kills}",
            marks=pytest.mark.thorough if case.family in ALIKE else (),
        )
        for case in cases
    ]


@pytest.fixture(params=[or_thorough(own) for own in CASES], scope="module")
def case(request, tmp_path_factory):
    """One of the families; its tiny config knows where its data are, and which."""
    own = request.param
    if own.family is ATARI:
        pytest.importorskip("gymnax", reason="the extra [atari] is not installed")
    if "data_directory" in own.family.ignored:
        directory = tmp_path_factory.mktemp("data")
        image_files.write_idx(directory, image_files.make_images())
        own = own._replace(tiny=dataclasses.replace(own.tiny, data_directory=directory))
    return own._replace(tiny=own.family.resolve(own.tiny))


@pytest.fixture(scope="module")
def finished(case, tmp_path_factory):
    """A finished run of two seeds: its config, directory and summary."""
    path = tmp_path_factory.mktemp(case.family.name) / "run"
    config = dataclasses.replace(case.tiny, num_seeds=2, run_directory=path)
    return config, *family.run(case.family, config)


@pytest.fixture
def run_program(monkeypatch, capsys):
    """A function from a family and arguments to the exit code, stdout and stderr."""

    def run(own, *argv):
        return programs.call(lambda: family.main(own), monkeypatch, capsys, argv)

    return run


def rows_of(path, **labels):
    """The metrics in a directory that have these labels, without them."""
    return [
        {name: value for name, value in row.items() if name not in labels}
        for row in files.read_json_lines(path / "metrics.jsonl")
        if all(row[name] == value for name, value in labels.items())
    ]


@pytest.mark.parametrize(
    ("case", "argv", "message"),
    MISTAKES,
    ids=lambda value: value.family.name if isinstance(value, Case) else None,
)
def test_a_mistake_is_one_line(run_program, tmp_path, case, argv, message):
    path = tmp_path / "run"
    code, out, err = run_program(case.family, *argv, "--run-directory", path)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert message in err
    assert not path.exists()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.family.name)
def test_help_says_what_each_field_is(run_program, case):
    code, out, _ = run_program(case.family, "--help")
    assert code == 0
    assert out.startswith(f"usage: {case.family.prog} ")
    words = " ".join(out.replace("│", " ").split())
    for field in dataclasses.fields(case.family.config_class):
        assert f"--{field.name.replace('_', '-')}" in words
    assert "Two checkpoints are at least this many seconds apart" in words


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.family.name)
def test_what_it_names_are_fields(case):
    fields = {field.name for field in dataclasses.fields(case.family.config_class)}
    assert {*case.family.ignored, *case.family.before} <= fields
    assert case.per_member in per_member_fields(case.family.config_class)
    assert case.family.run_seconds(case.tiny) > 0


@pytest.mark.slow
def test_members_that_differ_in_numbers_share_a_program(case):
    marked = per_member_fields(case.family.config_class)
    assert marked.keys() <= {name for change in case.differing for name in change}

    def program(config, numbers):
        code = case.family.code()
        experiment, loaded = code.experiment(config), code.load(config)
        # The numbers of one config in the program of another, where they are traced.
        hyper, seed = hyperparameters(numbers), np.uint32(0)
        state, fixed = jax.eval_shape(experiment.init, seed, hyper, *loaded)
        return [
            str(jax.make_jaxpr(experiment.init)(seed, hyper, *loaded)),
            str(jax.make_jaxpr(experiment.step)(state, hyper, fixed, *loaded)),
            str(jax.make_jaxpr(experiment.evaluate)(state, hyper, fixed, *loaded)),
        ]

    for change in case.differing:
        differs = dataclasses.replace(case.tiny, **change)
        # Alike but for what the members may differ in.
        here = {name: value for name, value in change.items() if name not in marked}
        config = dataclasses.replace(case.tiny, **here)
        assert program(config, config) == program(differs, config)


@pytest.mark.slow
def test_a_run_leaves_rows_a_figure_and_a_summary_for_each_seed(case, finished):
    config, path, summary = finished
    assert json.loads((path / "summary.json").read_text()) == summary
    seeds = [config.seed, config.seed + 1]
    assert [entry["seed"] for entry in summary] == seeds
    assert {"steps_per_second", "wall_seconds"} < set(summary[0])
    figure = path / f"{case.family.name}.png"
    assert figure.read_bytes().startswith(b"\x89PNG")
    steps = [*range(config.eval_every, config.num_steps, config.eval_every)]
    rows = files.read_json_lines(path / "metrics.jsonl")
    assert [(row["step"], row["seed"]) for row in rows] == [
        *itertools.product([*steps, config.num_steps], seeds)
    ]
    assert all(np.isfinite(value) for row in rows for value in row.values())


@pytest.mark.slow
def test_seeds_differ_and_members_are_their_single_runs(case, finished, tmp_path):
    config, path, _ = finished
    seed = config.seed + 1
    family.run(
        case.family,
        dataclasses.replace(
            config, num_seeds=1, seed=seed, run_directory=tmp_path / "own"
        ),
    )
    assert_same_rows(rows_of(tmp_path / "own", seed=seed), rows_of(path, seed=seed))
    assert rows_of(path, seed=seed) != rows_of(path, seed=config.seed)


@pytest.mark.slow
def test_a_finished_run_is_reported_not_repeated(
    case, finished, run_program, monkeypatch
):
    config, path, _ = finished
    before = (path / "metrics.jsonl").stat().st_mtime_ns
    monkeypatch.setattr(type(case.family.code()), "train", pytest.fail)
    code, out, err = run_program(case.family, *flags(config))
    assert code == 0
    assert err == f"{path} holds this run, finished: its results are shown again\n"
    first, second, figure = out.splitlines()
    assert first.startswith(f"seed {config.seed}: ")
    assert second.startswith(f"seed {config.seed + 1}: ")
    assert figure == str(path / f"{case.family.name}.png")
    assert (path / "metrics.jsonl").stat().st_mtime_ns == before


@pytest.mark.slow
def test_a_summary_that_cannot_be_read_is_written_again(case, finished, tmp_path):
    config, path, summary = finished
    copy = tmp_path / "copy"
    shutil.copytree(path, copy)
    (copy / "summary.json").write_text("{")
    _, again = family.run(case.family, dataclasses.replace(config, run_directory=copy))
    rates = {"steps_per_second", "agent_steps_per_second", "wall_seconds"}
    results = set(summary[0]) - rates
    assert [{name: entry[name] for name in results} for entry in again] == [
        {name: entry[name] for name in results} for entry in summary
    ]


@pytest.mark.slow
def test_another_config_in_the_directory_is_refused(case, finished, run_program):
    config, *_ = finished
    changed = {case.per_member: 0.75, "seed": config.seed + 7}
    code, _, err = run_program(case.family, *flags(config, **changed))
    assert (code, err.count("\n")) == (1, 1)
    assert (
        f"{case.per_member} is {getattr(config, case.per_member)} there and 0.75 here"
        in err
    )
    assert f"seed is {config.seed} there and {config.seed + 7} here" in err


@pytest.mark.slow
def test_an_arm_of_a_group_is_the_run_of_its_own_command(case, finished, tmp_path):
    arms = {
        "own": case.tiny,
        "number": dataclasses.replace(case.tiny, **{case.per_member: 0.75}),
    }
    other = {"program": dataclasses.replace(case.tiny, **case.other_program)}
    config, path, _ = finished
    seeds = [config.seed, config.seed + 1]
    if case.family is not PARITY:
        # How arms and seeds combine does not depend on the family, and the program of
        # two members is compiled.
        seeds = seeds[1:]
    groups = arm_groups.groups(case.family, arms | other, seeds)
    assert [list(group.arms) for group in groups] == [["own", "number"], ["program"]]
    assert not set(groups[0].all_settings["own"]) & {"seed", *case.family.ignored}
    arm_groups.run(case.family, arms, seeds, tmp_path)
    rows = list(arm_groups.rows(case.family, arms, seeds, tmp_path))
    own = [
        {name: value for name, value in row.items() if name != "arm"}
        for row in rows
        if row["arm"] == "own"
    ]
    alone = files.read_json_lines(path / "metrics.jsonl")
    assert own == [row for row in alone if row["seed"] in seeds]
    assert len(rows) == 2 * len(own) > 0
    updates, seconds = arm_groups.cost(case.family, arms, 2)
    assert updates == 2 * sum(arm.num_steps for arm in arms.values())
    assert seconds > 0


SETTINGS = {
    "JAX_DEFAULT_PRNG_IMPL": "rbg",
    "JAX_THREEFRY_PARTITIONABLE": "false",
    "JAX_RANDOM_SEED_OFFSET": "1",
    "JAX_HIGH_DYNAMIC_RANGE_GUMBEL": "true",
    "JAX_ENABLE_X64": "true",
    "JAX_EXPLICIT_X64_DTYPES": "allow",
    "JAX_NUMPY_DTYPE_PROMOTION": "strict",
    "JAX_DEFAULT_MATMUL_PRECISION": "highest",
}


@pytest.mark.slow
def test_another_setting_in_the_environment_is_refused(tmp_path):
    """As a user changes it: between the commands that start and continue a run."""
    config = dataclasses.replace(
        PARITY.config_class(num_steps=4, eval_every=2), run_directory=tmp_path / "run"
    )
    with RunDirectory(config.run_directory, config, ignored=PARITY.ignored):
        pass
    assert {name.lower() for name in SETTINGS} == set(environment.decisive_settings())
    process = programs.start(
        "helpers.checkout.parity",
        flags(config),
        compiled=tmp_path / "compiled",
        stderr=subprocess.PIPE,
        **SETTINGS,
    )
    _, err = process.communicate()
    assert (process.returncode, err.count("\n")) == (1, 1)
    assert "settings of JAX: " in err
    for name, value in SETTINGS.items():
        assert re.search(rf"\b{name} is \S+ there and {value}\b", err, re.IGNORECASE)
    assert not (config.run_directory / "metrics.jsonl").exists()
    assert family.run(PARITY, config)[1]


@pytest.mark.slow
@pytest.mark.parametrize("num_seeds", [2, pytest.param(1, marks=pytest.mark.thorough)])
def test_a_run_is_continued_under_its_own_settings_only(
    tmp_path, monkeypatch, num_seeds
):
    """Each under the settings that it has, and to the bits of one never stopped."""
    config = PARITY.config_class(
        num_steps=8, eval_every=2, checkpoint_seconds=0.0, num_seeds=num_seeds
    )

    def run(name):
        path = tmp_path / name
        family.run(PARITY, dataclasses.replace(config, run_directory=path))
        return (path / "metrics.jsonl").read_bytes()

    whole = run("whole")
    with jax.default_prng_impl("rbg"):
        assert run("other") != whole
    record = RunDirectory.record

    def record_some(self, step, *args):
        record(self, step, *args)
        if step == 4:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(RunDirectory, "record", record_some)
        with pytest.raises(KeyboardInterrupt):
            run("stopped")
    with (
        jax.default_prng_impl("rbg"),
        pytest.raises(UserError, match="prng_impl is threefry2x32 there and rbg here"),
    ):
        run("stopped")
    assert run("stopped") == whole


@pytest.mark.slow
def test_arms_are_not_run_under_two_settings(tmp_path, capsys):
    arms = {
        "narrow": PARITY.config_class(num_steps=2, eval_every=2, width=4),
        "wide": PARITY.config_class(num_steps=2, eval_every=2, width=8),
    }
    first = {"narrow": arms["narrow"]}
    arm_groups.run(PARITY, first, [0], tmp_path)
    capsys.readouterr()
    with jax.default_prng_impl("rbg"):
        # One is left to do, and would be compared with the one that is there.
        with pytest.raises(UserError, match="than the rest would be: jax_default_prng"):
            arm_groups.run(PARITY, arms, [0], tmp_path)
        assert len(list(tmp_path.iterdir())) == 1
        arm_groups.run(PARITY, first, [0], tmp_path)
        assert "its results are as it ran: jax_default_prng_impl is threefry2x32" in (
            capsys.readouterr().err
        )
    arm_groups.run(PARITY, arms, [0], tmp_path)
    assert len(list(arm_groups.rows(PARITY, arms, [0], tmp_path))) == 2
    # One that is not finished would be as wrong to go on with.
    next(tmp_path.glob("*/summary.json")).unlink()
    with (
        jax.default_prng_impl("rbg"),
        pytest.raises(UserError, match="than the rest would be: jax_default_prng"),
    ):
        arm_groups.run(PARITY, arms, [0], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("case", unlike(CASES), indirect=True)
def test_a_step_is_timed(case):
    times = case.family.code().step_seconds({"a": case.tiny}, num_rounds=1, num_steps=1)
    assert 0 < times["a"] < 10


@pytest.mark.slow
@pytest.mark.parametrize("case", unlike([*CASES, KILLED_OFTEN]), indirect=True)
def test_killed_and_continued_it_ends_with_the_same_bits(case, tmp_path):
    """Kills the command at random moments and continues it each time."""
    config = dataclasses.replace(case.tiny, checkpoint_seconds=0.0, **case.long)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    compiling = {"compiled": tmp_path / "compiled"}
    if case.family not in ALIKE:  # it runs what these tests have compiled
        compiling = {
            "compiled": os.environ["JAX_COMPILATION_CACHE_DIR"],
            "XLA_FLAGS": os.environ["XLA_FLAGS"],
        }

    def start(path):
        argv = [*case.command, *flags(config, run_directory=path)]
        return programs.start(case.module, argv, **compiling)

    if case.family in ALIKE:
        assert start(whole).wait() == 0
    else:
        family.run(case.family, dataclasses.replace(config, run_directory=whole))
    programs.kill_and_continue(lambda: start(killed), killed, num_kills=case.num_kills)
    name = "metrics.jsonl"
    assert (killed / name).read_bytes() == (whole / name).read_bytes()
    code = case.family.code()
    experiment, hyper = code.experiment(config), hyperparameters(config)
    shared = code.load(config)
    target = jax.eval_shape(
        jax.vmap(lambda seed: experiment.init(seed, hyper, *shared)[0]),
        np.asarray([config.seed]),
    )
    finals = []
    for path in (whole, killed):
        checkpoints = Checkpoints(path / "checkpoints")
        finals.append(checkpoints.restore(target))
        checkpoints.close()
    assert finals[0].step == finals[1].step == config.num_steps
    jax.tree.map(assert_same_bits, finals[0].state, finals[1].state)


def assert_same_bits(one, other):
    if jax.dtypes.issubdtype(one.dtype, jax.dtypes.prng_key):
        one, other = jax.random.key_data(one), jax.random.key_data(other)
    np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_a_family_of_its_own_has_figures(tmp_path):
    def draw(runs, preset):
        from experiments.harness import plots

        return plots.figure()[0]

    arms = {"slow": PARITY.config_class(num_steps=4, eval_every=2, learning_rate=0.01)}
    preset = Preset(arms=arms, num_seeds=2, claims=())
    presets = {"laptop": preset, "paper": preset}
    figure = Figure("own/parity", "none", PARITY, presets, draw)
    assert reproduce(figure, "laptop", tmp_path) == []
    assert (tmp_path / "parity.png").exists()
