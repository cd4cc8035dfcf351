"""Parts of a group, and the run directory that is gathered from them."""

import dataclasses
import json
import shutil
import time
from concurrent.futures import ThreadPoolExecutor

import jax
import pytest

from experiments.harness import arm_group, arm_groups, environment, members, parts
from experiments.harness.messages import UserError
from experiments.harness.own_directory import InUseError
from helpers.checkout.parity.family import FAMILY

pytestmark = pytest.mark.slow

TINY = FAMILY.config_class(num_bits=4, width=4, num_steps=4, eval_every=2)
ARMS = {
    "slow": dataclasses.replace(TINY, learning_rate=1e-4),
    "fast": TINY,
    "diverging": dataclasses.replace(TINY, learning_rate=1e38),
    "wide": dataclasses.replace(TINY, width=32),
}


def make(directory, *, seeds=2, **sizes):
    with parts.lock(directory):
        for group in arm_groups.groups(FAMILY, ARMS, range(seeds)):
            parts.make(FAMILY, group, directory, **sizes)
    return arm_groups.units(FAMILY, ARMS, range(seeds), directory)


def members_of(units):
    return [
        (member["arm"], member["seed"])
        for unit in units
        for member in unit.group.members
    ]


def train(unit):
    arm_group.train(FAMILY, unit, ARMS, title="part")


def metrics(directory):
    return {
        path.parent.name: path.read_bytes()
        for path in directory.glob("*/metrics.jsonl")
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The arms as one process runs them."""
    directory = tmp_path_factory.mktemp("whole")
    arm_groups.run(FAMILY, ARMS, range(2), directory)
    return directory


@pytest.mark.parametrize(
    ("sizes", "number"),
    [
        ({"num_arms": 1, "num_seeds": 1}, 8),
        ({"num_arms": 2, "num_seeds": 1}, 6),
        ({"num_arms": 1}, 4),
        ({"num_seeds": 1}, 4),
        ({}, 2),
    ],
)
def test_every_member_is_in_one_part(tmp_path, sizes, number):
    units = make(tmp_path, **sizes)
    assert len(units) == len({unit.path for unit in units}) == number
    assert sorted(members_of(units)) == sorted(
        (arm, seed) for arm in ARMS for seed in range(2)
    )
    assert {unit.path.parent for unit in units} == {tmp_path / "parts"}
    # As they were made, whatever is asked for later.
    assert make(tmp_path, num_arms=3) == units


def test_parts_are_put_together_to_the_bytes_of_one_process(whole, tmp_path):
    units = make(tmp_path, num_arms=1, num_seeds=1)
    for unit in reversed(units):
        assert not metrics(tmp_path)
        train(unit)
    assert not metrics(tmp_path)
    rows = list(arm_groups.rows(FAMILY, ARMS, range(2), tmp_path))
    assert metrics(tmp_path) == metrics(whole)
    assert b"NaN" in b"".join(metrics(tmp_path).values())
    assert len(rows) == 16
    summary = json.loads(next(tmp_path.glob("4-bits-*/summary.json")).read_text())
    assert all("wall_seconds" in own for own in summary["gathered"].values())


def test_the_command_for_one_process_goes_on_with_parts(
    whole, tmp_path, monkeypatch, capsys
):
    units = make(tmp_path, num_arms=1, num_seeds=1)
    train(units[3])
    done = []
    original = members.train_members

    def counted(*args, labels, **options):
        done.extend((label["arm"], label["seed"]) for label in labels)
        return original(*args, labels=labels, **options)

    monkeypatch.setattr(members, "train_members", counted)
    capsys.readouterr()
    arm_groups.run(FAMILY, ARMS, range(2), tmp_path)
    assert "part 1 of 8: 1 arms x 1 seeds, 4 updates each" in capsys.readouterr().err
    assert sorted(done) == sorted(set(members_of(units)) - set(members_of([units[3]])))
    assert metrics(tmp_path) == metrics(whole)
    shutil.rmtree(tmp_path / "parts")  # of no more use
    arm_groups.run(FAMILY, ARMS, range(2), tmp_path)
    assert len(done) == 7


def test_more_seeds_run_only_what_is_new(tmp_path):
    first = make(tmp_path, num_arms=1, num_seeds=1)
    more = make(tmp_path, seeds=3, num_seeds=1)
    assert set(map(str, first)) < set(map(str, more))
    assert len(more) == len(first) + 2
    # Without a launch, what is new is one part of each program.
    arm_groups.run(FAMILY, ARMS, range(4), tmp_path)
    assert len(list((tmp_path / "parts").glob("*/summary.json"))) == len(more) + 2
    with pytest.raises(UserError, match="has not been run to its end"):
        list(arm_groups.rows(FAMILY, ARMS, range(5), tmp_path))


def test_what_one_process_has_begun_stays_whole(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "run")
    for path in (tmp_path / "run").glob("*/summary.json"):
        path.unlink()
    units = make(tmp_path / "run", num_arms=1, num_seeds=1)
    assert [unit.path.parent for unit in units] == [tmp_path / "run"] * 2
    # So does one that has saved nothing yet.
    for path in (tmp_path / "run").glob("*-bits-*"):
        shutil.rmtree(path / "checkpoints")
        (path / "metrics.jsonl").unlink()
    assert make(tmp_path / "run", num_arms=1, num_seeds=1) == units
    assert not list((tmp_path / "run" / "parts").glob("*.json"))


def test_being_put_together_may_be_interrupted(whole, tmp_path, monkeypatch):
    for unit in make(tmp_path, num_arms=2):
        train(unit)
    with monkeypatch.context() as patch:
        patch.setattr("experiments.harness.run_directory.RunDirectory.finish", 1 / 1)
        with pytest.raises(TypeError):
            arm_groups.run(FAMILY, ARMS, range(2), tmp_path)
    assert metrics(tmp_path)
    assert not list(tmp_path.glob("*/summary.json"))
    arm_groups.run(FAMILY, ARMS, range(2), tmp_path)
    assert metrics(tmp_path) == metrics(whole)


def test_one_process_at_a_time_puts_parts_together(whole, tmp_path, monkeypatch):
    for unit in make(tmp_path, num_arms=2):
        train(unit)
    group = arm_groups.groups(FAMILY, ARMS, range(2))[0]
    put_together, calls = parts._put_together, []
    monkeypatch.setattr(parts, "_put_together", lambda *_: calls.append(1))
    with ThreadPoolExecutor() as pool:
        with parts.lock(tmp_path):
            waiting = pool.submit(parts.gather, FAMILY, group, tmp_path)
            time.sleep(0.3)
            assert not waiting.done()
            own = arm_group.unit_in(FAMILY, group, tmp_path)
            put_together(FAMILY, group, own, parts._made(FAMILY, group, tmp_path))
        assert waiting.result()
    assert not calls
    arm_groups.run(FAMILY, ARMS, range(2), tmp_path)
    assert metrics(tmp_path).items() <= metrics(whole).items()


def test_parts_of_other_settings_of_jax_are_not_put_together(tmp_path):
    units = make(tmp_path, num_arms=2)
    for unit in units:
        train(unit)
    with (
        jax.default_prng_impl("rbg"),
        pytest.raises(
            UserError, match=r"settings of JAX: .* to put the parts together"
        ),
    ):
        list(arm_groups.rows(FAMILY, ARMS, range(2), tmp_path))
    assert not metrics(tmp_path)


def test_parts_of_other_machines_are_told(tmp_path, monkeypatch, capsys):
    first, *others = make(tmp_path, num_arms=2)
    train(first)
    here = environment.describe()
    there = here | {"device": here["device"] | {"cpu_cores": 77}}
    monkeypatch.setattr(environment, "describe", lambda: there)
    for unit in others:
        train(unit)
    arm_groups.run(FAMILY, ARMS, range(2), tmp_path)
    cores = here["device"]["cpu_cores"]
    said = f"so may their last bits: device.cpu_cores is {cores} and 77"
    assert said in capsys.readouterr().err


def test_a_part_that_lacks_steps_is_named(tmp_path):
    units = make(tmp_path, num_arms=2)
    for unit in units:
        train(unit)
    for name in ("finished.json", "metrics.jsonl"):
        path = units[0].path / name
        if name == "metrics.jsonl":
            lines = path.read_bytes().splitlines(keepends=True)
            path.write_bytes(b"".join(lines[:-1]))
        else:
            path.unlink()
    with pytest.raises(UserError, match="has other steps than"):
        arm_groups.run(FAMILY, ARMS, range(2), tmp_path)


def test_notes_of_other_arms_or_damaged_ones_are_of_no_part(tmp_path):
    units = make(tmp_path, num_arms=2)
    notes = sorted((tmp_path / "parts").glob("*.json"))
    assert len(notes) == len(units) == 3
    notes[0].write_text("{")
    text = notes[1].read_text()
    notes[1].write_text(text.replace('"seeds": [0, 1]', '"seeds": [0]'))
    again = arm_groups.units(FAMILY, ARMS, range(2), tmp_path)
    assert len(again) < 3
    other = {name: dataclasses.replace(arm, num_bits=5) for name, arm in ARMS.items()}
    paths = {unit.path for unit in arm_groups.units(FAMILY, other, range(2), tmp_path)}
    assert not paths & {unit.path for unit in units}


def test_one_process_at_a_time_makes_parts(tmp_path):
    with (
        parts.lock(tmp_path),
        pytest.raises(InUseError, match="is in use by another process"),
        parts.lock(tmp_path),
    ):
        pass
